/** Runs the example twice, each time as a process of its own over a real socket, on one file. */
import { execFile } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "vitest"

describe("the counter", () => {
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "counter-"))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  const run = async () => {
    const { stderr, stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", "src/main.ts"], {
      cwd: fileURLToPath(new URL("..", import.meta.url)),
      env: { ...process.env, TROUPE_DB: join(folder, "counter.db") }
    })
    assert.strictEqual(stderr, "")
    const lines = stdout.trimEnd().split("\n")
    // What is heard and what is answered are printed by two fibers: each in its own order.
    return { told: lines.filter((line) => !line.startsWith(" ")), heard: lines.filter((line) => line.startsWith(" ")) }
  }

  it("tells its story, and goes on where it ended", async () => {
    assert.deepStrictEqual(await run(), {
      told: [
        "connected",
        "a call answers: 1",
        "offline; two calls are made and wait",
        "online again; each was counted once, in order: 3, 6",
        "the file remembers: run it again, and it goes on from there"
      ],
      heard: ["  everybody hears: 1", "  everybody hears: 3", "  everybody hears: 6"]
    })
    assert.include((await run()).told, "online again; each was counted once, in order: 9, 12")
  })
})
