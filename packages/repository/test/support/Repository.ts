/** The files of this repository, named by their path from its root. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

export const root = fileURLToPath(new URL("../../../..", import.meta.url))

/** What is generated or installed; everything else is the repository. */
const skipped = new Set(["node_modules", "dist", ".build", ".git", "benchmarks"])

export const read = (path: string): string => readFileSync(join(root, path), "utf8")

export const list = (folder: string) =>
  readdirSync(join(root, folder), { withFileTypes: true }).filter((entry) => !skipped.has(entry.name))

const below = (folder: string): ReadonlyArray<string> =>
  list(folder).flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`
    return entry.isDirectory() ? below(path) : [path]
  })

const all = below("")

/** Every file whose path matches. */
export const files = (pattern: RegExp): ReadonlyArray<string> => all.filter((path) => pattern.test(path))
