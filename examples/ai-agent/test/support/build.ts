/** Builds the page once, before any test: the server serves it. */
import { fileURLToPath } from "node:url"
import { build } from "vite"

export default async (): Promise<void> => {
  await build({ configFile: fileURLToPath(new URL("../../vite.config.ts", import.meta.url)), logLevel: "warn" })
}
