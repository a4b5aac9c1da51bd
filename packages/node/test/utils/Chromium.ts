/**
 * Finds a browser on this machine and starts it, as people do: without what drivers usually switch off, so that its tabs
 * are hidden, slowed down, frozen and kept for later as theirs are. Nothing is downloaded.
 */
import { Effect, type Scope } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { type BrowserContext, chromium } from "playwright-core"
import * as Directory from "./Directory.ts"
import { until } from "./until.ts"

const names = ["chromium", "chromium-browser", "google-chrome"]

/** How to get one; printed where none is found. */
export const howToInstall =
  "No Chromium found. Install one (Debian: apt-get install -y --no-install-recommends chromium) or set CHROMIUM_PATH."

const isExecutable = (path: string): boolean => {
  try {
    Fs.accessSync(path, Fs.constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** `CHROMIUM_PATH`, else the first of the usual names on the PATH. */
export const find = (): string | undefined =>
  process.env["CHROMIUM_PATH"] ??
    names.flatMap((name) => (process.env["PATH"] ?? "").split(Path.delimiter).map((folder) => Path.join(folder, name)))
      .find(isExecutable)

const start = (profile: string, args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      ChildProcess.spawn(find() ?? howToInstall, [
        "--headless",
        "--remote-debugging-port=0",
        `--user-data-dir=${profile}`,
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        ...args,
        "about:blank"
      ], { stdio: "ignore" })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** The window of a new browser, with a profile of its own, until the scope closes. */
export const launch: (
  ...args: ReadonlyArray<string>
) => Effect.Effect<BrowserContext, never, Scope.Scope> = Effect.fnUntraced(function*(...args) {
  const profile = yield* Directory.temporary
  const child = yield* start(profile, args)
  // its first line is the port, which it writes when it listens
  const file = `${profile}/DevToolsActivePort`
  const port = () => Fs.existsSync(file) ? Fs.readFileSync(file, "utf8").split("\n")[0]! : ""
  yield* until(() => port() !== "", "the browser listens", "2 minutes")
  const browser = yield* Effect.acquireRelease(
    Effect.promise(() => chromium.connectOverCDP(`http://127.0.0.1:${port()}`, { noDefaults: true })),
    // it is asked, so that it writes nothing any more when its profile is removed
    (browser) =>
      Effect.promise(async () => {
        const tools = await browser.newBrowserCDPSession()
        // it may be gone before it has answered
        await tools.send("Browser.close").catch(() => {})
      }).pipe(Effect.zipRight(until(() => child.exitCode !== null || child.signalCode !== null, "the browser ends")))
  )
  return browser.contexts()[0]!
})
