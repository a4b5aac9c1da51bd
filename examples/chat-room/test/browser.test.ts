/** The page in a real browser, against the server as a process of its own. Needs Chromium; see `support/Chromium.ts`. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Browser, Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import * as Chromium from "./support/Chromium.ts"
import * as Proxy from "./support/Proxy.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const executable = Chromium.find()

const isRequired = process.env["CI"] === "true"
if (executable === undefined && !isRequired) console.warn(`Skipped: ${Chromium.howToInstall}`)

describe.skipIf(executable === undefined && !isRequired)("the page in Chromium", () => {
  let folder: string | undefined
  let server: ServerProcess.ServerProcess
  let proxy: Proxy.Proxy
  let browser: Browser

  const startServer = (port: number) =>
    ServerProcess.start({ port, filename: join(folder ?? tmpdir(), "chat-room.db") })

  beforeAll(async () => {
    if (executable === undefined) throw new Error(Chromium.howToInstall)
    folder = await mkdtemp(join(tmpdir(), "chat-room-"))
    server = await startServer(0)
    proxy = await Proxy.start(server.port)
    browser = await Chromium.launch(executable)
  })

  afterEach(async () => {
    // A test that failed leaves nobody behind for the next.
    await Promise.all(browser.contexts().map((context) => context.close()))
    const found = problems.splice(0)
    if (found.length > 0) throw new Error(`the page had problems:\n${found.join("\n")}`)
  })

  afterAll(async () => {
    await browser?.close()
    await proxy?.cut()
    await server?.stop()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  })

  it("lets two people chat, and keeps what is written offline", async () => {
    const ada = await open(browser, server.port)
    const bob = await open(browser, proxy.port)
    await enter(ada, "Ada")
    await enter(bob, "Bob")
    await eventually(() => people(ada)).toEqual(["Ada", "Bob"])

    await write(ada, "Hello, Bob")
    await eventually(() => messages(bob)).toEqual(["Hello, Bob"])
    await write(bob, "<b>Hello</b>, Ada")
    await eventually(() => messages(ada)).toEqual(["Hello, Bob", "<b>Hello</b>, Ada"])
    let said = ["Hello, Bob", "<b>Hello</b>, Ada"]

    // Until the answer is there it counts as waiting, also for a person who has seen it at the other end.
    await eventually(() => waiting(bob)).toEqual([])

    // By the switch.
    await bob.getByRole("switch").check()
    await eventually(() => status(bob)).toBe("Offline")
    const one = ["switched 1", "switched 2", "switched 3"]
    for (const text of one) await write(bob, text)
    await eventually(() => waiting(bob)).toEqual(one)
    await eventually(() => bob.locator("#waiting-count").textContent()).toBe("3 waiting")
    await write(ada, "Where is Bob?")
    await eventually(() => messages(ada)).toEqual([...said, "Where is Bob?"])
    expect(await messages(bob)).toEqual(said)
    await bob.getByRole("switch").uncheck()
    said = [...said, "Where is Bob?", ...one]
    await eventually(() => messages(ada)).toEqual(said)
    await eventually(() => messages(bob)).toEqual(said)
    await eventually(() => waiting(bob)).toEqual([])
    await eventually(() => bob.locator("#waiting-count").textContent()).toBe("0 waiting")

    // By a network that goes down.
    await proxy.cut()
    await eventually(() => status(bob)).toBe("Reconnecting")
    await eventually(() => bob.locator("#status-detail").textContent()).toMatch(/^in \d+ s, attempt \d+$/)
    const two = ["cut 1", "cut 2", "cut 3"]
    for (const text of two) await write(bob, text)
    await eventually(() => waiting(bob)).toEqual(two)
    await write(ada, "Gone again")
    await proxy.restore()
    said = [...said, "Gone again", ...two]
    await eventually(() => messages(ada)).toEqual(said)
    await eventually(() => messages(bob)).toEqual(said)
    await eventually(() => waiting(bob)).toEqual([])

    // By a server that stops and comes back, under both.
    await eventually(() => waiting(ada)).toEqual([])
    expect(await server.stop()).toBe(0)
    await eventually(() => status(ada)).toBe("Reconnecting")
    await write(ada, "Is anybody there?")
    await eventually(() => waiting(ada)).toEqual(["Is anybody there?"])
    server = await startServer(server.port)
    said = [...said, "Is anybody there?"]
    await eventually(() => messages(ada)).toEqual(said)
    await eventually(() => messages(bob)).toEqual(said)
    await eventually(() => people(ada)).toHaveLength(2)
    await write(bob, "Always")
    said = [...said, "Always"]
    await eventually(() => messages(ada)).toEqual(said)
    await eventually(() => messages(bob)).toEqual(said)

    // Whoever comes later finds it all, and whoever closes the page has left.
    const eve = await open(browser, server.port)
    await enter(eve, "Eve")
    await eventually(() => messages(eve)).toEqual(said)
    await ada.close()
    await eventually(() => people(eve)).toEqual(["Bob", "Eve"])
    for (const page of [bob, eve]) await page.close()
  })

  it("C13 comes back at once when the browser is online again", async () => {
    const bob = await open(browser, proxy.port)
    await enter(bob, "Bob")
    await proxy.cut()
    await bob.context().setOffline(true)
    await write(bob, "Is it me?")
    // The waits double: this one has at least three seconds to go, and is cut short.
    const detail = bob.locator("#status-detail")
    await eventually(() => detail.textContent()).toMatch(/^in ([4-9]|\d\d) s/)
    await proxy.restore()
    const from = Date.now()
    await bob.context().setOffline(false)
    await eventually(() => status(bob)).toBe("Connected")
    expect(Date.now() - from).toBeLessThan(2500)
    await eventually(() => waiting(bob)).toEqual([])
  })

  it("whispers to one person", async () => {
    const [ada, bob, eve] = [
      await open(browser, server.port),
      await open(browser, server.port),
      await open(browser, server.port)
    ]
    await enter(ada, "Ada")
    await enter(bob, "Bob")
    await enter(eve, "Eve")
    await ada.getByRole("button", { name: "Whisper to Bob" }).click()
    await write(ada, "psst")
    await eventually(() => ada.locator(".whisper .text").allTextContents()).toEqual(["psst"])
    await eventually(() => bob.locator(".whisper .text").allTextContents()).toEqual(["psst"])
    await ada.getByRole("button", { name: "Write to everybody" }).click()
    await write(ada, "I said nothing")
    await eventually(async () => (await messages(eve)).at(-1)).toBe("I said nothing")
    expect(await messages(eve)).not.toContain("psst")
    for (const page of [ada, bob, eve]) await page.close()
  })

  it("shows why somebody was disconnected, and lets them join again", async () => {
    const [ada, bob] = [await open(browser, server.port), await open(browser, server.port)]
    await enter(ada, "Ada", "moderator")
    await enter(bob, "Bob")
    expect(await bob.getByRole("button", { name: "Disconnect Ada" }).count()).toBe(0)
    await ada.getByRole("button", { name: "Disconnect Bob" }).click()
    await ada.getByLabel("Reason").fill("too much horse talk")
    await ada.getByRole("button", { name: "Disconnect", exact: true }).click()
    await eventually(() => bob.locator("#ended-reason").textContent()).toBe("too much horse talk")
    await eventually(() => status(bob)).toBe("Closed: too much horse talk")
    await eventually(() => people(ada)).toEqual(["Ada"])
    await bob.getByRole("button", { name: "Join again" }).click()
    await eventually(() => people(ada)).toEqual(["Ada", "Bob"])
    await eventually(() => status(bob)).toBe("Connected")
    for (const page of [ada, bob]) await page.close()
  })

  it("shows the refusal of a wrong token, and takes a right one after it", async () => {
    const page = await open(browser, server.port)
    expect(await page.getByLabel("Your name").inputValue()).not.toBe("")
    await fill(page, "Mallory", "open sesame")
    await eventually(() => page.getByRole("alert").first().textContent()).toContain("This token opens no door here")
    expect(await page.locator("#room").isVisible()).toBe(false)
    await enter(page, "Mallory", "guest")
    await page.getByRole("button", { name: "Leave the room" }).click()
    await eventually(() => page.locator("#join").isVisible()).toBe(true)
    await page.close()
  })
})

/** Waits for a condition; nothing here waits for a time. */
const eventually = <A>(read: () => Promise<A>) => expect.poll(read, { timeout: 20_000, interval: 50 })

/** What went wrong in a page and nobody has caught; what the page's security policy has stopped. */
const problems: Array<string> = []

/** Opens the page in a context of its own. */
const open = async (browser: Browser, port: number): Promise<Page> => {
  const page = await browser.newPage()
  page.on("pageerror", (error) => problems.push(String(error)))
  page.on("console", (line) => {
    if (line.text().includes("Content Security Policy")) problems.push(line.text())
  })
  await page.goto(`http://localhost:${port}/`)
  return page
}

const fill = async (page: Page, name: string, token: string) => {
  await page.getByLabel("Your name").fill(name)
  await page.getByLabel("Token").fill(token)
  await page.getByRole("button", { name: "Join the room" }).click()
}

const enter = async (page: Page, name: string, token = "guest") => {
  await fill(page, name, token)
  await eventually(() => people(page)).toContain(name)
}

const write = async (page: Page, text: string) => {
  await page.locator("#text").fill(text)
  await page.locator("#text").press("Enter")
}

const people = (page: Page) => page.locator("#people .name").allTextContents()
const messages = (page: Page) => page.locator("#messages .text").allTextContents()
const waiting = (page: Page) => page.locator("#drafts .text").allTextContents()
const status = (page: Page) => page.locator("#status-text").textContent()
