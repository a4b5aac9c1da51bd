/** What `npm publish` would upload: every public package, built and packed. */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import * as Repository from "./Repository.ts"

const run = promisify(execFile)

interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly packageManager?: string
}

const manifest = (folder: string) => JSON.parse(Repository.read(join(folder, "package.json"))) as Manifest

/** The packages that are published, by name, with their folders. */
export const packages: ReadonlyMap<string, string> = new Map(
  Repository.list("packages")
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `packages/${name}`)
    .filter((folder) => manifest(folder).private !== true)
    .map((folder) => [manifest(folder).name, folder])
)

/** Builds and packs them all into a folder. The files of the tarballs, by the package's name. */
export const pack = async (into: string): Promise<ReadonlyMap<string, string>> => {
  const folders = [...packages.values()]
  await run(process.execPath, [".scripts/tsc.mjs", "-b", ...folders], { cwd: Repository.root })
  const filters = [...packages.keys()].flatMap((name) => ["--filter", name])
  const { stdout } = await run(
    "npx",
    ["--yes", manifest("").packageManager!, ...filters, "--recursive", "pack", "--json", "--pack-destination", into],
    { cwd: Repository.root }
  )
  const packed = JSON.parse(stdout) as ReadonlyArray<{ readonly name: string; readonly filename: string }>
  return new Map(packed.map(({ filename, name }) => [name, join(into, filename.split("/").pop()!)]))
}
