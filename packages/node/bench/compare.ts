/**
 * `npm run bench [-- --against <commit>] [--only <step>] [--rounds 5]`: what the steps of a call cost in the working tree,
 * beside another commit of it (`HEAD`), in turns on one machine.
 */
import * as Esbuild from "esbuild"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const { values } = parseArgs({
  options: {
    against: { type: "string", default: "HEAD" },
    only: { type: "string", default: "" },
    rounds: { type: "string", default: "5" }
  }
})

const root = fileURLToPath(new URL("../../../", import.meta.url))
const packages = ["contract", "client", "server", "node"]
const modulesOf = (name: string) => Path.join(root, "packages", name, "node_modules")
const modules = modulesOf("node")

/** The program of today, with the packages of some tree. Third parties are those that are installed. */
const bundle = (tree: string, outdir: string): string => {
  Esbuild.buildSync({
    entryPoints: {
      program: Path.join(root, "packages/node/bench/hotPath.ts"),
      "sqlite-worker": Path.join(tree, "packages/node/src/internal/sqlite-worker.mjs")
    },
    alias: Object.fromEntries(packages.map((name) => [`@troupe/${name}`, Path.join(tree, "packages", name, "src")])),
    nodePaths: packages.map(modulesOf),
    tsconfig: Path.join(root, "tsconfig.json"),
    bundle: true,
    platform: "node",
    format: "esm",
    outdir,
    outExtension: { ".js": ".mjs" },
    external: ["libsql"],
    logLevel: "error"
  })
  return Path.join(outdir, "program.mjs")
}

const run = (program: string): Record<string, number> =>
  JSON.parse(
    execFileSync(process.execPath, [program, values.only], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] })
  )

const worktree = Path.join(Fs.mkdtempSync(Path.join(Os.tmpdir(), "troupe-bench-")), "tree")
// among the installed modules, so that the native one is found
const outdir = Fs.mkdtempSync(Path.join(modules, ".bench-"))
const git = (...args: ReadonlyArray<string>) =>
  execFileSync("git", args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] })
git("worktree", "add", "--detach", worktree, values.against)
try {
  const before = bundle(worktree, Path.join(outdir, "before"))
  const now = bundle(root, Path.join(outdir, "now"))
  const rounds = Array.from({ length: Number(values.rounds) }, () => ({ before: run(before), now: run(now) }))
  const names = Object.keys(rounds[0]!.now)
  // what others do on the machine only adds to a figure
  console.log(`ns, the least of ${rounds.length} rounds, beside ${values.against}\n`)
  console.log("| step | before | now | now / before |\n| --- | ---: | ---: | ---: |")
  for (const name of names) {
    const least = (which: "before" | "now") => Math.min(...rounds.map((round) => round[which][name]!))
    const [before, now] = [least("before"), least("now")]
    console.log(`| ${name} | ${before} | ${now} | ${(now / before).toFixed(2)} |`)
  }
} finally {
  git("worktree", "remove", "--force", worktree)
  Fs.rmSync(outdir, { recursive: true, force: true })
}
