import { fileURLToPath } from "node:url"
import { defineConfig } from "vite"

/** Builds the page into `dist`, from where the server serves it. */
export default defineConfig({
  root: fileURLToPath(new URL("src/page", import.meta.url)),
  build: { outDir: "../../dist", emptyOutDir: true, target: "es2022" }
})
