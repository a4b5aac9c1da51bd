/** The simulation as one file of JavaScript, from the sources or from copies of them with a bug planted. */
import { build } from "esbuild"
import { mkdtemp, readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import type { Planted } from "./Planted.ts"

const packages = fileURLToPath(new URL("../..", import.meta.url))

/** A new folder for programs, among the installed modules, where they find Effect. */
export const folder = (): Promise<string> => mkdtemp(`${packages}testing/node_modules/.simulation-`)

/**
 * Writes the program of `worker.ts`. Fails if what a bug is to replace does not stand there, once. A program with a bug
 * runs few seeds: it leaves Effect out, which those of one process then share; in the other that would cost a tenth.
 */
export const make = async (outfile: string, bug?: Planted): Promise<void> => {
  let found = 0
  await build({
    entryPoints: [`${packages}testing/simulation/worker.ts`],
    bundle: true,
    platform: "node",
    format: "esm",
    outfile,
    logLevel: "error",
    external: bug === undefined ? [] : ["effect", "effect/*", "@effect/*"],
    plugins: bug === undefined ? [] : [{
      name: "planted",
      setup: ({ onLoad }) =>
        onLoad({ filter: /\.ts$/ }, async ({ path }) => {
          if (path !== packages + bug.file) return undefined
          const text = await readFile(path, "utf8")
          found += text.split(bug.find).length - 1
          return { contents: text.replace(bug.find, () => bug.replace), loader: "ts" }
        })
    }]
  })
  if (bug && found !== 1) throw new Error(`${bug.file} has ${found} places of what is to be replaced: ${bug.name}`)
}
