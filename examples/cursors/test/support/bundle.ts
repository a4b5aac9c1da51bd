/** Makes one file of JavaScript of a server, which starts in a tenth of the time that its sources take. */
import { build } from "esbuild"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const example = fileURLToPath(new URL("../..", import.meta.url))

/** Where it lies: as deep as the sources of a server, so that what it looks for beside them is found. */
const folder = join(example, "node_modules/.server")

/** The file that is made of `name.ts`. */
export const fileOf = (name: string): string => join(folder, `${name}.mjs`)

/** Bundles `<from>/<name>.ts`, with the thread of the store beside it. */
export const bundle = async (from: string, name: string): Promise<void> => {
  const troupe = createRequire(import.meta.url).resolve("@troupe/node")
  // it has code of the machine's own, which has to stay where it is
  const libsql = createRequire(troupe).resolve("libsql")
  await build({
    entryPoints: {
      [name]: join(example, from, `${name}.ts`),
      "sqlite-worker": join(dirname(troupe), "internal/sqlite-worker.mjs")
    },
    bundle: true,
    platform: "node",
    format: "esm",
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    alias: { libsql },
    external: [libsql],
    // for CommonJS modules inside
    banner: {
      js: "import { createRequire as require_ } from 'node:module'; const require = require_(import.meta.url);"
    },
    logLevel: "warning"
  })
}
