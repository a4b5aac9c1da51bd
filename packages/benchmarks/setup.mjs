// Installs the peers, and this repository's packages as npm would get them: built and packed.
import { spawnSync } from "node:child_process"
import fs from "node:fs"
import path from "node:path"
import { fileURLToPath } from "node:url"

const here = path.dirname(fileURLToPath(import.meta.url))
const root = path.join(here, "../..")
const packed = path.join(here, ".packed")
const packages = ["contract", "client", "server", "node"]

const run = (cwd, command, ...args) => {
  const { status } = spawnSync(command, args, { cwd, stdio: ["ignore", "ignore", "inherit"], shell: process.platform === "win32" })
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}`)
}

const { packageManager } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))
fs.rmSync(packed, { recursive: true, force: true })
run(root, "npm", "run", "setup")
run(root, process.execPath, ".scripts/tsc.mjs", "-b", ...packages.map((name) => `packages/${name}`))
const filters = packages.flatMap((name) => ["--filter", `@troupe/${name}`])
run(root, "npx", "--yes", packageManager, ...filters, "--recursive", "pack", "--pack-destination", packed)
const tarballs = fs.readdirSync(packed).map((file) => path.join(packed, file))
run(here, "npm", "install", "--ignore-scripts", "--no-package-lock", "--no-save", "--no-audit", "--no-fund", ...tarballs)
