/** The benchmarks still run: what they measure speaks the protocol by itself, and nobody else runs it. */
import { assert, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const run = async (program: string, ...args: ReadonlyArray<string>) => {
  const bench = fileURLToPath(new URL("../bench/run.ts", import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", bench, program, ...args], {
    timeout: 120_000
  })
  return stdout
}

it("every step of a call is measured", async () => {
  const figures: Record<string, number> = JSON.parse(await run("hotPath", "", "0"))
  assert.strictEqual(new Set(Object.keys(figures).map((name) => name.split(":")[0])).size, 6)
  for (const [name, nanos] of Object.entries(figures)) assert.isAbove(nanos, 0, name)
})

it("turns that are made durable are counted", async () => {
  const table = await run("commits", "--seconds", "0.2", "--rounds", "1", "--only", "host commit 16")
  assert.match(table, /\| host \| commit \| 16 \| [1-9]/)
})
