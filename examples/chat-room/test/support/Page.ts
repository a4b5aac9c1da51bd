/** What a person does on the page, and what is to be seen on it. */
import type { Browser, Page } from "playwright-core"
import { expect } from "vitest"

/** Waits for a condition; nothing here waits for a time. Longer than the page waits between two attempts. */
export const eventually = <A>(read: () => Promise<A>) => expect.poll(read, { timeout: 90_000, interval: 50 })

/** What went wrong in a page and nobody has caught; what the page's security policy has stopped. */
export const problems: Array<string> = []

/** Opens the page in a context of its own. */
export const open = async (browser: Browser, port: number): Promise<Page> => {
  const page = await browser.newPage()
  page.on("pageerror", (error) => problems.push(String(error)))
  page.on("console", (line) => {
    if (line.text().includes("Content Security Policy")) problems.push(line.text())
  })
  await page.goto(`http://localhost:${port}/`)
  return page
}

export const fill = async (page: Page, name: string, token: string) => {
  await page.getByLabel("Your name").fill(name)
  await page.getByLabel("Token").fill(token)
  await page.getByRole("button", { name: "Join the room" }).click()
}

export const enter = async (page: Page, name: string, token = "guest") => {
  await fill(page, name, token)
  await eventually(() => people(page)).toContain(name)
}

export const write = async (page: Page, text: string) => {
  await page.locator("#text").fill(text)
  await page.locator("#text").press("Enter")
}

export const people = (page: Page) => page.locator("#people .name").allTextContents()
export const messages = (page: Page) => page.locator("#messages .text").allTextContents()
export const waiting = (page: Page) => page.locator("#drafts .text").allTextContents()
export const status = (page: Page) => page.locator("#status-text").textContent()
export const statusDetail = (page: Page) => page.locator("#status-detail").textContent()
export const waitingCount = (page: Page) => page.locator("#waiting-count").textContent()
