/** The page in a real browser, against the server as a process of its own. Needs Chromium; see `support/Chromium.ts`. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Browser, Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { Question } from "../src/contract.ts"
import { answerTo } from "../src/server/FakeModel.ts"
import * as Chromium from "./support/Chromium.ts"
import {
  answers,
  ask,
  eventually,
  lastAnswer,
  midway,
  open,
  problems,
  progress,
  questions,
  status,
  waiting
} from "./support/Page.ts"
import * as Proxy from "./support/Proxy.ts"
import * as ServerProcess from "./support/ServerProcess.ts"

const executable = Chromium.find()

const isRequired = process.env["CI"] === "true"
if (executable === undefined && !isRequired) console.warn(`Skipped: ${Chromium.howToInstall}`)

/** What the model answers to these questions, the last of them. */
const answerOf = (...texts: ReadonlyArray<string>) =>
  answerTo(texts.map((text, i) => Question.make({ id: 2 * i + 1, text })))

/** Waits until the last answer is complete: it is exactly what the model says. */
const completes = async (page: Page, ...texts: ReadonlyArray<string>) => {
  await eventually(() => questions(page)).toEqual(texts)
  const whole = answerOf(...texts)
  // with the length, a failure tells whether the answer has stopped or only its end is missing
  const seen = async () => ({ progress: await progress(page), length: (await lastAnswer(page)).length })
  await eventually(seen).toEqual({ progress: "complete", length: whole.length })
  expect(await lastAnswer(page)).toBe(whole)
}

describe.skipIf(executable === undefined && !isRequired)("the page in Chromium", () => {
  let folder: string | undefined
  let server: ServerProcess.ServerProcess
  let proxy: Proxy.Proxy
  let browser: Browser

  const startServer = (port: number) =>
    ServerProcess.start({ port, filename: join(folder ?? tmpdir(), "agent.db"), wordTime: "25 millis" })

  beforeAll(async () => {
    if (executable === undefined) throw new Error(Chromium.howToInstall)
    folder = await mkdtemp(join(tmpdir(), "ai-agent-"))
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

  it("shows an answer as it is written, and goes on with it after a reload in the middle, twice", async () => {
    const ada = await open(browser, server.port)
    await ask(ada, "What survives a reload?")
    for (const longer of [60, 250]) {
      await midway(ada, { longer })
      const before = await lastAnswer(ada)
      await ada.reload()
      await eventually(() => lastAnswer(ada)).not.toBe("")
      expect((await lastAnswer(ada)).startsWith(before)).toBe(true)
      expect(await progress(ada)).toBe("writing")
    }
    await completes(ada, "What survives a reload?")

    // It is found again from another browser, by its address alone, and taken further there.
    const { hash } = new URL(ada.url())
    const bob = await open(browser, server.port, hash)
    await completes(bob, "What survives a reload?")
    await ask(bob, "And what <b>now</b>?")
    await midway(ada, { asked: 2 })
    await completes(ada, "What survives a reload?", "And what <b>now</b>?")
    await completes(bob, "What survives a reload?", "And what <b>now</b>?")

    // Another conversation knows nothing of it.
    await ada.getByRole("button", { name: "New conversation" }).click()
    await eventually(() => ada.locator("#welcome").isVisible()).toBe(true)
    expect(new URL(ada.url()).hash).not.toBe(hash)
  })

  it("goes on with an answer when the server is killed in the middle of it and started again, twice", async () => {
    const ada = await open(browser, server.port)
    await ask(ada, "Who is the killer?")
    for (const longer of [60, 250]) {
      await midway(ada, { longer })
      expect(await server.kill()).toBe("SIGKILL")
      await eventually(() => status(ada)).toBe("Reconnecting")
      const before = await lastAnswer(ada)
      server = await startServer(server.port)
      await eventually(() => status(ada)).toBe("Connected")
      await eventually(async () => (await lastAnswer(ada)).length).toBeGreaterThan(before.length)
      expect((await lastAnswer(ada)).startsWith(before)).toBe(true)
    }
    await completes(ada, "Who is the killer?")
  })

  it("finds an answer that went on without it: while it was closed, and the server was killed and asked to stop", async () => {
    const ada = await open(browser, server.port)
    await ask(ada, "Who writes?")
    await midway(ada)
    const { hash } = new URL(ada.url())
    await ada.close()
    expect(await server.kill()).toBe("SIGKILL")
    server = await startServer(server.port)
    expect(await server.stop()).toBe(0)
    server = await startServer(server.port)
    const bob = await open(browser, server.port, hash)
    await completes(bob, "Who writes?")
  })

  it("a network that drops only makes it pause; what is asked offline is asked once", async () => {
    const ada = await open(browser, proxy.port)
    await ask(ada, "Who pulled the plug?")
    await midway(ada)
    await proxy.cut()
    await eventually(() => status(ada)).toBe("Reconnecting")
    const before = await lastAnswer(ada)
    expect(await progress(ada)).toBe("writing")
    await proxy.restore()
    await completes(ada, "Who pulled the plug?")
    expect(answerOf("Who pulled the plug?").startsWith(before)).toBe(true)

    await ada.getByRole("switch").check()
    await eventually(() => status(ada)).toBe("Offline")
    await ask(ada, "Is anybody there?")
    await eventually(() => waiting(ada)).toEqual(["Is anybody there?"])
    await ada.getByRole("switch").uncheck()
    await completes(ada, "Who pulled the plug?", "Is anybody there?")
    expect(await waiting(ada)).toEqual([])
  })

  it("stops an answer where it is, for all who watch it, and takes the next question", async () => {
    const ada = await open(browser, server.port)
    await ask(ada, "How long is it?")
    await midway(ada)
    const bob = await open(browser, server.port, new URL(ada.url()).hash)
    await midway(bob)
    await bob.getByRole("button", { name: "Stop" }).click()
    for (const page of [ada, bob]) await eventually(() => progress(page)).toBe("stopped")
    const stopped = await lastAnswer(ada)
    expect(await lastAnswer(bob)).toBe(stopped)
    expect(stopped.length).toBeLessThan(answerOf("How long is it?").length)
    await ask(ada, "Go on")
    await completes(ada, "How long is it?", "Go on")
    expect((await answers(ada))[0]).toBe(stopped)
  })
})
