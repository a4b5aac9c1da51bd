/** How the server process starts and ends. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import * as ServerProcess from "./support/ServerProcess.ts"

describe("the server process", () => {
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "chat-room-"))
  })
  afterAll(async () => {
    await ServerProcess.killAll()
    await rm(folder, { recursive: true, force: true })
  })

  it("says in one line that its port is in use, and stops by itself when it is asked to", async () => {
    const first = await ServerProcess.start({ port: 0, filename: join(folder, "first.db") })
    const second = await ServerProcess.start({ port: first.port, filename: join(folder, "second.db") }).catch((e) => e)
    assert.instanceOf(second, ServerProcess.StartFailed)
    assert.strictEqual(second.code, 1)
    assert.strictEqual(
      second.output,
      `Port ${first.port} is in use. Take another one: PORT=${first.port + 1} npm start\n`
    )
    assert.strictEqual(await first.stop(), 0)
  })
})
