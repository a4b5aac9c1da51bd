/** `npm start` tells what the README says. */
import { execFile } from "node:child_process"
import { readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { assert, it } from "vitest"

const example = fileURLToPath(new URL("..", import.meta.url))

it("the story", async () => {
  const { stderr, stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", "src/story.ts"], {
    cwd: example
  })
  assert.strictEqual(stderr, "")
  assert.lengthOf(stdout.trim().split("\n"), 8)
  assert.include(await readFile(`${example}/README.md`, "utf8"), stdout)
})
