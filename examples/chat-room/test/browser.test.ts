/** The page in a real browser, against the server as a process of its own. Needs Chromium; see `support/Chromium.ts`. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Browser, Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import * as Chromium from "./support/Chromium.ts"
import {
  enter,
  eventually,
  fill,
  messages,
  open,
  people,
  problems,
  status,
  statusDetail,
  waiting,
  waitingCount,
  write
} from "./support/Page.ts"
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

  const startServer = (port: number, file = "chat-room.db") =>
    ServerProcess.start({ port, filename: join(folder ?? tmpdir(), file) })

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
    await ServerProcess.killAll()
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
    await eventually(() => waitingCount(bob)).toBe("3 waiting")
    await write(ada, "Where is Bob?")
    await eventually(() => messages(ada)).toEqual([...said, "Where is Bob?"])
    expect(await messages(bob)).toEqual(said)
    await bob.getByRole("switch").uncheck()
    said = [...said, "Where is Bob?", ...one]
    await eventually(() => messages(ada)).toEqual(said)
    await eventually(() => messages(bob)).toEqual(said)
    await eventually(() => waiting(bob)).toEqual([])
    await eventually(() => waitingCount(bob)).toBe("0 waiting")

    // By a network that goes down.
    await proxy.cut()
    await outage(bob)
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

  it("C4, C7 goes on by itself when the server is killed while somebody writes, twice", async () => {
    // A server and a network of its own, so that a failure here leaves the other tests theirs.
    let server = await startServer(0, "killed.db")
    const proxy = await Proxy.start(server.port)
    onTestFinished(proxy.cut)
    const ada = await open(browser, proxy.port)
    const bob = await open(browser, server.port)
    await enter(ada, "Ada")
    await enter(bob, "Bob")
    await write(ada, "Ada 0.1")
    await eventually(() => messages(bob)).toEqual(["Ada 0.1"])
    await eventually(() => waiting(ada)).toEqual([])

    let before = ["Ada 0.1"]
    for (const round of [1, 2]) {
      // What the room does now is done, and seen by Bob, but its answers to Ada are lost.
      proxy.deafen()
      const unanswered = texts("Ada", round, 1, 3)
      for (const text of unanswered) await write(ada, text)
      await eventually(() => messages(bob)).toEqual([...before, ...unanswered])

      // Killed with the next two just on their way, in the second round certainly before it has read them. She writes on.
      if (round === 2) server.freeze()
      const onTheirWay = texts("Ada", round, 4, 5)
      for (const text of onTheirWay) await write(ada, text)
      expect(await status(ada)).toBe("Connected")
      const killed = server.kill()
      const afterwards = texts("Ada", round, 6, 8)
      for (const text of afterwards) await write(ada, text)
      expect(await killed).toBe("SIGKILL")

      // Both pages tell, and keep what is written.
      for (const page of [ada, bob]) await outage(page)
      const byAda = [...unanswered, ...onTheirWay, ...afterwards, ...texts("Ada", round, 9, 10)]
      const byBob = texts("Bob", round, 1, 3)
      for (const text of byAda.slice(8)) await write(ada, text)
      for (const text of byBob) await write(bob, text)
      await eventually(() => waiting(ada)).toEqual(byAda)
      await eventually(() => waitingCount(ada)).toBe("10 waiting")
      await eventually(() => waiting(bob)).toEqual(byBob)
      await eventually(() => waitingCount(bob)).toBe("3 waiting")
      expect(await messages(ada)).toEqual(before)
      const seen = await messages(bob)

      server = await startServer(server.port, "killed.db")
      for (const page of [ada, bob]) {
        await eventually(() => status(page)).toBe("Connected")
        await eventually(() => waiting(page)).toEqual([])
        await eventually(() => waitingCount(page)).toBe("0 waiting")
      }

      // Each once, in the order of whoever wrote it, after all that was there before; whoever comes now finds the same.
      const eve = await open(browser, server.port)
      await enter(eve, "Eve")
      await eventually(() => messages(eve)).toHaveLength(before.length + byAda.length + byBob.length)
      const all = await messages(eve)
      expect(all.slice(0, seen.length)).toEqual(seen)
      expect(all.filter((text) => text.startsWith(`Ada ${round}.`))).toEqual(byAda)
      expect(all.filter((text) => text.startsWith(`Bob ${round}.`))).toEqual(byBob)
      for (const page of [ada, bob]) await eventually(() => messages(page)).toEqual(all)
      await eve.close()
      before = all
    }
  }, 180_000)

  it("C13 comes back at once when the browser is online again", async () => {
    const bob = await open(browser, proxy.port)
    await enter(bob, "Bob")
    await proxy.cut()
    await bob.context().setOffline(true)
    await write(bob, "Is it me?")
    // The waits double: this one has at least three seconds to go, and is cut short.
    await eventually(() => statusDetail(bob)).toMatch(/^in ([4-9]|\d\d) s/)
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

  it("does not take a guest for the moderator of the same name, nor for oneself", async () => {
    const [ada, other] = [await open(browser, server.port), await open(browser, server.port)]
    await enter(ada, "Ada", "moderator")
    await enter(other, "Ada")
    await eventually(() => people(other)).toHaveLength(2)
    await write(ada, "I open the house")
    await write(ada, "and close it")
    await eventually(async () => (await messages(other)).at(-1)).toBe("and close it")
    await write(other, "So do I")
    await eventually(async () => (await messages(ada)).at(-1)).toBe("So do I")
    const row = ada.locator("#messages .message").filter({ hasText: "So do I" })
    expect(await row.locator(".name").textContent()).toBe("Ada")
    expect(await row.locator(".badge").count()).toBe(0)

    await ada.getByRole("button", { name: "Whisper to Ada" }).click()
    await write(ada, "psst")
    const head = (page: Page) => page.locator(".whisper .head").textContent()
    await eventually(() => head(ada)).toMatch(/^to Ada/)
    await eventually(() => head(other)).toMatch(/^Ada to you/)
    for (const page of [ada, other]) await page.close()
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

/** What somebody writes in a round, from one number to another. */
const texts = (name: string, round: number, from: number, to: number): ReadonlyArray<string> =>
  Array.from({ length: to - from + 1 }, (_, i) => `${name} ${round}.${from + i}`)

/** Waits until the page says that the server is gone, and when it tries again. */
const outage = async (page: Page) => {
  await eventually(() => status(page)).toBe("Reconnecting")
  await eventually(() => statusDetail(page)).toMatch(/^in \d+ s, attempt \d+$/)
}
