/** Requests over HTTP that a server meets when it stops. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import * as Net from "node:net"
import { serve } from "./utils/Desk.ts"
import { until } from "./utils/until.ts"

const body = JSON.stringify([{ _tag: "Request", id: "1", tag: "Append", payload: { text: "x" }, headers: [] }])
const wait = JSON.stringify([{ _tag: "Request", id: "1", tag: "Wait", headers: [] }])

const request = (text: string, length = text.length) =>
  [
    "POST /actors/Desk/a/rpc HTTP/1.1",
    "Host: a",
    "content-type: application/json",
    `troupe-params: {"name":"ann"}`,
    `content-length: ${length}`,
    "",
    text
  ].join("\r\n")

const dial = (port: number, text: string) => {
  const dialled = { socket: Net.connect(port, "127.0.0.1"), answer: "" }
  dialled.socket.on("data", (data) => (dialled.answer += data))
  dialled.socket.on("error", () => {})
  dialled.socket.write(text)
  return dialled
}

for (const late of [200, 900]) {
  it.scopedLive(`a body whose end comes ${late} ms after the server began to stop is not told that there is no such actor`, () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { port, trace } = yield* Scope.extend(serve({ drainTimeout: 500 }), scope)
      dial(port, request(wait))
      yield* until(() => trace.log.includes("waits"), "it has begun")
      const two = dial(port, request(body.slice(0, 10), body.length))
      // nobody tells that half of a body has come
      yield* Effect.sleep(200)
      const closing = yield* Effect.forkScoped(Scope.close(scope, Exit.void))
      yield* Effect.sleep(late)
      two.socket.write(body.slice(10))
      yield* Fiber.join(closing)
      assert.notInclude(two.answer, "UnknownActor")
    }))
}
