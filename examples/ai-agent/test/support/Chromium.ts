/** Finds a browser on this machine and starts it. Nothing is downloaded. */
import { accessSync, constants } from "node:fs"
import { delimiter, join } from "node:path"
import { type Browser, chromium } from "playwright-core"

const names = ["chromium", "chromium-browser", "google-chrome"]

/** How to get one; printed where none is found. */
export const howToInstall =
  "No Chromium found. Install one (Debian: apt-get install -y --no-install-recommends chromium) or set CHROMIUM_PATH."

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** `CHROMIUM_PATH`, else the first of the usual names on the PATH. */
export const find = (): string | undefined =>
  process.env["CHROMIUM_PATH"] ??
    names.flatMap((name) => (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, name)))
      .find(isExecutable)

/** A browser without a window, with a profile of its own that is removed when it closes. */
export const launch = (executablePath: string): Promise<Browser> =>
  chromium.launch({
    executablePath,
    headless: true,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync"
    ]
  })
