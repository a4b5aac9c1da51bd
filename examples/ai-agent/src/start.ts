/** `npm start`: builds the page, then runs the server. One process, so that Ctrl-C reaches nothing but the server. */
import { fileURLToPath } from "node:url"
import { build } from "vite"

await build({ configFile: fileURLToPath(new URL("../vite.config.ts", import.meta.url)), logLevel: "warn" })
await import("./server/main.ts")
