/** A server of `Register.ts` as a process, and its page in Chromium. */
import * as TcpProxy from "@troupe/testing/node/TcpProxy"
import { Context, Effect, Layer } from "effect"
import * as Esbuild from "esbuild"
import { fileURLToPath } from "node:url"
import type { BrowserContext, Page as Tab } from "playwright-core"
import type * as Page from "../page/page.ts"
import * as Chromium from "./Chromium.ts"
import * as Directory from "./Directory.ts"
import type { Options } from "./FeedServer.ts"
import { freePort } from "./freePort.ts"
import { client } from "./LogServer.ts"
import * as Program from "./Program.ts"
import { Register } from "./Register.ts"
import { until } from "./until.ts"

const root = fileURLToPath(new URL("../../../../", import.meta.url))

/** The script of the page, in one file. */
const bundlePage = (outfile: string) =>
  Effect.promise(() =>
    Esbuild.build({
      entryPoints: [`${root}packages/node/test/page/page.ts`],
      tsconfig: `${root}tsconfig.json`,
      bundle: true,
      format: "esm",
      platform: "browser",
      outfile,
      logLevel: "silent"
    })
  )

type InPage = typeof globalThis & { readonly page: Page.Page }

/** A tab with the page, as a test sees it. */
const watch = (tab: Tab) => {
  const told = () => tab.evaluate(() => (globalThis as InPage).page.told)
  return {
    tab,
    told: Effect.promise(told),
    /** Waits until the page has been told this. */
    sees: (condition: (told: Page.Told) => boolean) =>
      until(async () => condition(await told()), condition.toString(), "2 minutes"),
    call: (from: number, to: number, millis?: number) =>
      Effect.promise(() =>
        tab.evaluate(
          ([from, to, millis]) => (globalThis as InPage).page.call(from, to, millis),
          [from, to, millis] as const
        )
      ),
    callGated: (number: number) =>
      Effect.promise(() => tab.evaluate((number) => (globalThis as InPage).page.callGated(number), number)),
    retryIn: () => tab.evaluate(() => (globalThis as InPage).page.retryIn()),
    sinceTick: () => tab.evaluate(() => (globalThis as InPage).page.sinceTick()),
    /** What only the tools for developers can do to it. */
    tools: Effect.promise(() => tab.context().newCDPSession(tab))
  }
}

export type Watched = ReturnType<typeof watch>

/** Waits until the page in a tab has its connection. */
export const ready = (tab: Tab) =>
  Effect.as(Effect.promise(() => tab.waitForFunction(() => "page" in globalThis)), watch(tab))

/** What all tests of a file share, because it takes seconds to make. */
export class Workshop extends Context.Tag("test/Workshop")<Workshop, {
  readonly window: BrowserContext
  /** The script of the page, in one file. */
  readonly script: string
}>() {}

/** A browser, started with arguments of its own. */
export const layerWorkshop = (...args: ReadonlyArray<string>) =>
  Layer.scoped(
    Workshop,
    Effect.gen(function*() {
      const script = `${yield* Directory.temporary}/page.js`
      yield* bundlePage(script)
      return { window: yield* Chromium.launch(...args), script }
    })
  )

/** A server, a proxy in front of it, and a window. */
export const makeWorld = (options: Options = {}) =>
  Effect.gen(function*() {
    const { script, window } = yield* Workshop
    const port = yield* freePort
    const origin = `http://127.0.0.1:${port}`
    const { host, gateway } = options
    const args = [
      `${port}`,
      `${yield* Directory.temporary}/store.db`,
      script,
      JSON.stringify({ host, gateway: { ...gateway, origins: [origin] } })
    ]
    const serve = Effect.tap(Program.start("serve-registers", args), ({ said }) => said("open"))
    const server = yield* serve
    const proxy = yield* TcpProxy.make({ target: port })
    yield* Effect.addFinalizer(() => Effect.promise(() => Promise.all(window.pages().map((tab) => tab.close()))))
    return {
      port,
      /** On the way of the links, and of nothing else. */
      proxy,
      server,
      /** Starts the server again, on the same port and file, when it was killed. */
      serve,
      window,
      elsewhere: `${origin}/elsewhere`,
      /** Opens the page of this name, in a new tab in front of the others. */
      open: (name: string) =>
        Effect.gen(function*() {
          const tab = yield* Effect.promise(() => window.newPage())
          yield* Effect.promise(() => tab.goto(`${origin}/?name=${name}&port=${proxy.port}`))
          return yield* ready(tab)
        }),
      /** Puts an empty tab in front of all. */
      hide: Effect.promise(() => window.newPage()),
      /** Somebody who is always there, to look at the register. */
      observer: Effect.flatMap(client(port), ({ connect }) =>
        connect(Register, "a", { params: { name: "observer" }, events: ["entered"] }))
    }
  })
