/** What a person does on the page, and what is to be seen on it. */
import type { Browser, Page } from "playwright-core"
import { expect } from "vitest"

/** Waits for a condition; nothing here waits for a time. Longer than the page waits between two attempts. */
export const eventually = <A>(read: () => Promise<A>) => expect.poll(read, { timeout: 90_000, interval: 50 })

/** What went wrong in a page and nobody has caught; what the page's security policy has stopped. */
export const problems: Array<string> = []

/** Opens the page in a context of its own, as somebody. */
export const open = async (browser: Browser, port: number, name: string): Promise<Page> => {
  const page = await browser.newPage({ viewport: { width: 1000, height: 700 } })
  page.on("pageerror", (error) => problems.push(String(error)))
  page.on("console", (line) => {
    if (line.text().includes("Content Security Policy")) problems.push(line.text())
  })
  await page.goto(`http://localhost:${port}/?name=${encodeURIComponent(name)}`)
  await eventually(() => people(page)).toContain(name)
  return page
}

export const people = (page: Page) => page.locator("#people .name").allTextContents()
export const status = (page: Page) => page.locator("#status-text").textContent()

/** Whose pointers are shown. */
export const cursors = (page: Page) => page.locator(".cursor .label").allTextContents()

/** Moves the pointer to a point of the board, in shares of it. */
export const point = async (page: Page, x: number, y: number) => {
  const board = (await page.locator("#board").boundingBox())!
  await page.mouse.move(board.x + x * board.width, board.y + y * board.height)
}

/** Where somebody's cursor is on the board, in hundredths of it; undefined while it is not there. */
export const placeOf = (page: Page, name: string) =>
  page.evaluate((name) => {
    const board = document.querySelector("#board")!.getBoundingClientRect()
    const cursor = [...document.querySelectorAll<HTMLElement>(".cursor")].find((node) => node.dataset["name"] === name)
    if (!cursor) return undefined
    const { left, top } = cursor.getBoundingClientRect()
    return `${Math.round(100 * (left - board.left) / board.width)} ${
      Math.round(100 * (top - board.top) / board.height)
    }`
  }, name)

/** Notes each place of somebody's cursor, frame by frame, until it has come to one. Returns how many there were. */
export const framesUntil = (page: Page, name: string, x: number) =>
  page.evaluate(([name, x]) =>
    new Promise<number>((resolve) => {
      const board = document.querySelector("#board")!.getBoundingClientRect()
      const cursor = [...document.querySelectorAll<HTMLElement>(".cursor")].find((node) =>
        node.dataset["name"] === name
      )
      const seen = new Set<number>()
      const look = () => {
        const at = cursor!.getBoundingClientRect().left
        seen.add(at)
        if (Math.abs(at - board.left - x * board.width) < 2) resolve(seen.size)
        else requestAnimationFrame(look)
      }
      look()
    }), [name, x] as const)
