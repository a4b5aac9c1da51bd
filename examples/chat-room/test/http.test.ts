/** The room for callers that do not stay: a client of @effect/rpc as it is, and curl. */
import { FetchHttpClient, HttpClient, HttpClientRequest } from "@effect/platform"
import { RpcClient, RpcSerialization } from "@effect/rpc"
import { assert, describe, it } from "@effect/vitest"
import { HttpRpc } from "@troupe/contract"
import { Effect, Layer } from "effect"
import { execFile, spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { ChatRoom, Denied } from "../src/contract.ts"
import * as Client from "./support/Client.ts"
import { freshFile, freshFolder, serve } from "./support/Serve.ts"

/** A client of the lobby, over requests. */
const clientOf = (port: number, name: string, token: string) =>
  RpcClient.make(ChatRoom.httpRpcs).pipe(
    Effect.provide(
      RpcClient.layerProtocolHttp({
        url: `http://localhost:${port}/actors${HttpRpc.pathOf(ChatRoom, "lobby")}`,
        transformClient: HttpClient.mapRequest(
          HttpClientRequest.setHeader(HttpRpc.paramsHeader, HttpRpc.encodeParams(ChatRoom, { name, token }))
        )
      }).pipe(Layer.provide([RpcSerialization.layerNdjson, FetchHttpClient.layer]))
    )
  )

it.scopedLive("a caller says something to those who stay, and is gone; another is refused", () =>
  Effect.gen(function*() {
    const port = yield* Effect.flatMap(freshFile, (file) => serve(file))
    const ada = yield* Client.join(port, "Ada")
    const cron = yield* clientOf(port, "Cron", "guest")
    const said = yield* cron.Say({ text: "It is five" })
    assert.include(said.from, { name: "Cron", role: "guest" })
    assert.deepStrictEqual(yield* ada.rpc.History(), [said])
    assert.deepStrictEqual(yield* cron.History(), [said])

    const mallory = yield* clientOf(port, "Mallory", "please")
    assert.instanceOf(yield* Effect.flip(mallory.History()), Denied)
  }))

// a copy of this folder has no such page beside it
const page = new URL("../../../docs/http.md", import.meta.url)
const lines = existsSync(page)
  ? [...readFileSync(page, "utf8").matchAll(/```sh\n(curl .*?)\n```\n\n```json\n(.*?)\n```/gs)]
  : []
const hasCurl = spawnSync("curl", ["--version"]).status === 0

describe.skipIf(lines.length === 0 || (!hasCurl && process.env["CI"] !== "true"))("the page about HTTP", () => {
  it.scopedLive("its curl lines print what it says", () =>
    Effect.gen(function*() {
      const folder = yield* freshFolder
      const port = yield* serve(join(folder, "test.db"))
      // the lines say port 3000, which may be in use here
      yield* Effect.promise(() =>
        writeFile(join(folder, ".curlrc"), `silent\nconnect-to = localhost:3000:127.0.0.1:${port}\n`)
      )
      assert.strictEqual(lines.length, 2)
      for (const [, line, output] of lines) {
        const { stdout } = yield* Effect.promise(() =>
          promisify(execFile)("sh", ["-c", line!], { env: { ...process.env, CURL_HOME: folder } })
        )
        assert.strictEqual(stdout, output)
      }
    }))
})

it.scopedLive("an announcement that is too long is refused, and not read to its end", () =>
  Effect.gen(function*() {
    const port = yield* Effect.flatMap(freshFile, (file) => serve(file))
    const announce = (padding: number) =>
      Effect.tryPromise(() =>
        fetch(`http://localhost:${port}/announce`, {
          method: "POST",
          body: `{"text":"Doors open at eight"}${" ".repeat(padding)}`
        })
      ).pipe(Effect.map(({ status }) => status))
    assert.strictEqual(yield* announce(0), 200)
    // the socket is closed, so who sends may not come to read why
    assert.strictEqual(yield* Effect.orElseSucceed(announce(10_000_000), () => 400), 400)
    assert.strictEqual(yield* announce(1), 200)
  }))
