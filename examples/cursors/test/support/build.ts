/** Builds the page, which the server serves, and the server, once, before any test. */
import { fileURLToPath } from "node:url"
import { build } from "vite"
import { bundle } from "./bundle.ts"

export default async (): Promise<void> => {
  await build({ configFile: fileURLToPath(new URL("../../vite.config.ts", import.meta.url)), logLevel: "warn" })
  await bundle("src/server", "main")
}
