/** Copies of the examples, outside this repository, that take our packages from tarballs: what a user begins with. */
import { execFile } from "node:child_process"
import { cp, readFile, writeFile } from "node:fs/promises"
import { basename, join } from "node:path"
import { promisify } from "node:util"
import { assert } from "vitest"
import * as Repository from "./Repository.ts"

export interface Template {
  readonly folder: string
  /** Runs a program in it, and returns what it prints. Fails with that if the program does. */
  readonly run: (command: string, ...args: ReadonlyArray<string>) => Promise<string>
}

export interface Installed {
  readonly templates: ReadonlyMap<string, Template>
  /** Does for all what `npm run check` does in each, in one program: they share most of what there is to check. */
  readonly check: () => Promise<void>
}

/** The examples, by name. */
export const names: ReadonlyArray<string> = Repository.list("examples").map(({ name }) => name)

/** Without what tells the program that it is part of this repository, or of its test run. */
const environment = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_|VITEST|NODE_OPTIONS|FORCE_COLOR|TEST$)/i.test(name))
  ),
  NO_COLOR: "1"
})

const runIn = (cwd: string): Template["run"] => async (command, ...args) => {
  const options = { cwd, env: environment(), maxBuffer: 64 * 1024 * 1024 }
  return promisify(execFile)(command, args, options).then(
    ({ stdout }) => stdout,
    (error: { readonly stdout?: string; readonly stderr?: string }) => {
      throw new Error(
        `${command} ${args.join(" ")} failed:\n${error.stdout?.slice(-4000)}\n${error.stderr?.slice(-4000)}`
      )
    }
  )
}

/** Copies an example, without what was installed or made there, with our packages taken from tarballs. */
const copy = async (name: string, folder: string, tarballs: ReadonlyMap<string, string>): Promise<Template> => {
  const made = new Set(["node_modules", "dist", ".build"])
  await cp(join(Repository.root, "examples", name), folder, {
    recursive: true,
    filter: (path) => !made.has(basename(path)) && !/\.(db|db-shm|db-wal)$/.test(path)
  })
  let manifest = await readFile(join(folder, "package.json"), "utf8")
  for (const [name, file] of tarballs) {
    manifest = manifest.replace(new RegExp(`("${name}": )"[^"]+"`), `$1${JSON.stringify(`file:${file}`)}`)
  }
  await writeFile(join(folder, "package.json"), manifest)
  return { folder, run: runIn(folder) }
}

/**
 * Copies all examples, and installs what they need: in one go, because most of the time goes into unpacking what they
 * share. That each names all that it imports is another test's matter.
 */
export const installAll = async (into: string, tarballs: ReadonlyMap<string, string>): Promise<Installed> => {
  const templates = new Map<string, Template>()
  for (const name of names) templates.set(name, await copy(name, join(into, name), tarballs))
  await writeFile(join(into, "package.json"), JSON.stringify({ private: true, workspaces: names }))
  const run = runIn(into)
  await run("npm", "install", "--no-audit", "--no-fund", "--prefer-offline")
  return {
    templates,
    check: async () => {
      const [config, ...others] = await Promise.all(
        names.map((name) => readFile(join(into, name, "tsconfig.json"), "utf8"))
      )
      for (const other of others) assert.strictEqual(other, config, "the examples are checked alike")
      for (const name of names) {
        const { scripts } = JSON.parse(await readFile(join(into, name, "package.json"), "utf8"))
        assert.strictEqual(scripts.check, "tsc")
      }
      const { compilerOptions, include } = JSON.parse(config!)
      const all = {
        compilerOptions,
        include: names.flatMap((name) => include.map((path: string) => `${name}/${path}`))
      }
      await writeFile(join(into, "tsconfig.json"), JSON.stringify(all))
      await run("npx", "tsc")
    }
  }
}
