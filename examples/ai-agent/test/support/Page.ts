/** What a person does on the page, and what is to be seen on it. */
import type { Browser, Page } from "playwright-core"
import { expect } from "vitest"

/** Waits for a condition; nothing here waits for a time. Longer than an answer takes, and than a page waits to dial. */
export const eventually = <A>(read: () => Promise<A>) => expect.poll(read, { timeout: 90_000, interval: 50 })

/** What went wrong in a page and nobody has caught; what the page's security policy has stopped. */
export const problems: Array<string> = []

/** Opens the page in a context of its own: a new conversation, or the one of another page's address. */
export const open = async (browser: Browser, port: number, hash = ""): Promise<Page> => {
  const page = await browser.newPage()
  page.on("pageerror", (error) => problems.push(String(error)))
  page.on("console", (line) => {
    if (line.text().includes("Content Security Policy")) problems.push(line.text())
  })
  await page.goto(`http://localhost:${port}/${hash}`)
  await eventually(() => status(page)).toBe("Connected")
  return page
}

export const ask = async (page: Page, text: string) => {
  await page.locator("#text").fill(text)
  await page.locator("#text").press("Enter")
}

export const status = (page: Page) => page.locator("#status-text").textContent()

export const questions = (page: Page) => page.locator("#messages .question .text").allTextContents()

export const waiting = (page: Page) => page.locator("#drafts .text").allTextContents()

/** The texts of all answers. */
export const answers = (page: Page) => page.locator("#messages .answer .text").allTextContents()

export const lastAnswer = async (page: Page) => (await answers(page)).at(-1) ?? ""

/** How far the last answer is. */
export const progress = (page: Page) => page.locator("#messages .answer").last().getAttribute("data-progress")

/** Waits until the answer to the last of so many questions is longer than this, and is still being written. */
export const midway = async (page: Page, { asked = 1, longer = 100 } = {}) => {
  await eventually(async () => (await answers(page))[asked - 1]?.length ?? 0).toBeGreaterThan(longer)
  expect(await progress(page)).toBe("writing")
}
