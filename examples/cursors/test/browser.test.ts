/** The page in a real browser, against the server as a process of its own. Needs Chromium; see `support/Chromium.ts`. */
import type { Browser } from "playwright-core"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import * as Chromium from "./support/Chromium.ts"
import { cursors, eventually, framesUntil, open, people, placeOf, point, problems, status } from "./support/Page.ts"
import * as Proxy from "./support/Proxy.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const executable = Chromium.find()

const isRequired = process.env["CI"] === "true"
if (executable === undefined && !isRequired) console.warn(`Skipped: ${Chromium.howToInstall}`)

describe.skipIf(executable === undefined && !isRequired)("the page in Chromium", () => {
  let server: ServerProcess.ServerProcess
  let proxy: Proxy.Proxy
  let browser: Browser

  beforeAll(async () => {
    if (executable === undefined) throw new Error(Chromium.howToInstall)
    server = await ServerProcess.start({ port: 0 })
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
  })

  it("shows two people each other's cursor, where it is and where it goes", async () => {
    const ada = await open(browser, server.port, "Ada")
    const bob = await open(browser, server.port, "Bob")
    await eventually(() => people(ada)).toEqual(["Ada", "Bob"])
    await point(bob, 0.2, 0.3)
    await eventually(() => placeOf(ada, "Bob")).toBe("20 30")
    await point(ada, 0.7, 0.6)
    await eventually(() => placeOf(bob, "Ada")).toBe("70 60")
    expect(await cursors(ada)).toEqual(["Bob"])

    // It does not jump: there are places in between, as many as the browser has frames for.
    const frames = framesUntil(ada, "Bob", 0.8)
    await point(bob, 0.8, 0.3)
    expect(await frames).toBeGreaterThan(2)

    // A window of another size shows the same place of the board.
    await ada.setViewportSize({ width: 600, height: 500 })
    await eventually(() => placeOf(ada, "Bob")).toBe("80 30")
    await point(ada, 0.7, 0.6)

    // Whoever comes later finds both; a pointer that leaves the board is not shown; nor is one whose page is closed.
    const eve = await open(browser, server.port, "Eve")
    await eventually(() => placeOf(eve, "Ada")).toBe("70 60")
    await eventually(() => placeOf(eve, "Bob")).toBe("80 30")
    await ada.getByRole("heading").hover()
    await eventually(() => cursors(eve)).toEqual(["Bob"])
    await bob.close()
    await eventually(() => cursors(eve)).toEqual([])
    await eventually(() => people(eve)).toEqual(["Ada", "Eve"])
  })

  it("finds everybody where they are when it was offline, by the switch and by the network, and is found", async () => {
    const ada = await open(browser, server.port, "Ada")
    const bob = await open(browser, proxy.port, "Bob")
    await point(ada, 0.1, 0.1)
    await point(bob, 0.9, 0.1)
    await eventually(() => placeOf(bob, "Ada")).toBe("10 10")
    await eventually(() => placeOf(ada, "Bob")).toBe("90 10")
    const eve = await open(browser, server.port, "Eve")
    // by the keyboard: the pointer stays where it is
    const toggle = () => bob.getByRole("switch").press("Space")
    const outages = {
      switch: [toggle, toggle, "Offline"],
      network: [proxy.cut, proxy.restore, "Reconnecting"]
    } as const
    for (const [down, up, shown] of Object.values(outages)) {
      await down()
      await eventually(() => status(bob)).toBe(shown)
      for (const x of [0.2, 0.3, 0.4]) await point(ada, x, 0.5)
      await eventually(() => placeOf(eve, "Ada")).toBe("40 50")
      await point(bob, 0.6, 0.5)
      expect(await placeOf(bob, "Ada")).toBe("10 10")
      expect(await placeOf(eve, "Bob")).toBe("90 10")
      await up()
      await eventually(() => status(bob)).toBe("Live")
      await eventually(() => placeOf(bob, "Ada")).toBe("40 50")
      await eventually(() => placeOf(ada, "Bob")).toBe("60 50")
      await point(ada, 0.1, 0.1)
      await point(bob, 0.9, 0.1)
      await eventually(() => placeOf(bob, "Ada")).toBe("10 10")
      await eventually(() => placeOf(ada, "Bob")).toBe("90 10")
    }
  })

  it("shows the same board when the server was killed and is there again, though it has forgotten all", async () => {
    const ada = await open(browser, server.port, "Ada")
    const bob = await open(browser, server.port, "Bob")
    await point(ada, 0.3, 0.3)
    await point(bob, 0.6, 0.6)
    await eventually(() => placeOf(bob, "Ada")).toBe("30 30")
    for (const _ of [1, 2]) {
      await server.kill()
      for (const page of [ada, bob]) await eventually(() => status(page)).toBe("Reconnecting")
      server = await ServerProcess.start({ port: server.port })
      for (const page of [ada, bob]) await eventually(() => status(page)).toBe("Live")
      // nobody has moved meanwhile
      await eventually(() => placeOf(bob, "Ada")).toBe("30 30")
      await eventually(() => placeOf(ada, "Bob")).toBe("60 60")
    }
  })
})
