/** Events of which only the latest counts, and a client that stops to read: a real server process, real sockets. */
import { assert, it } from "@effect/vitest"
import { ConnectionStatus } from "@troupe/client"
import * as TcpProxy from "@troupe/testing/node/TcpProxy"
import { Effect, Stream } from "effect"
import { Feed } from "./utils/Feed.ts"
import { connect, serve } from "./utils/FeedServer.ts"
import { client } from "./utils/LogServer.ts"
import { until } from "./utils/until.ts"

const KiB = 1024

/** A reader of cursors: the last position of each sender, and how many it has been told. */
const reader = (port: number, name: string) =>
  Effect.gen(function*() {
    const feed = yield* Effect.flatMap(
      client(port),
      ({ connect }) => connect(Feed, "a", { params: { name }, events: ["cursor"] })
    )
    const last = new Map<string, number>()
    const heard = { count: 0 }
    yield* Effect.forkScoped(Stream.runForEach(yield* feed.events("cursor"), ({ who, x }) =>
      Effect.sync(() => {
        assert.isAbove(x, last.get(who) ?? 0, `${name} is told of an older position of ${who}`)
        last.set(who, x)
        heard.count++
      })))
    return { feed, last, heard, id: yield* feed.rpc.Me() }
  })

const names = ["ann", "bob", "eve", "max"]

it.scopedLive("E7 beside a client that does not read, thousands of updates leave the memory flat; it gets the newest when it reads", () =>
  Effect.gen(function*() {
    // one position of each would be more than its outbox holds
    const server = yield* serve({ host: { outboxBytesMax: 8 * KiB }, gateway: { silence: 600_000 } })
    const proxy = yield* TcpProxy.make({ target: server.port })
    const slow = yield* reader(proxy.port, "slow")
    const fast = yield* reader(server.port, "fast")
    const senders = yield* Effect.forEach(names, (name) => connect(server.port, name))
    let x = 0
    /** All senders move so often, each in its own order. */
    const move = (count: number) =>
      Effect.suspend(() => {
        const positions = Array.from({ length: count }, () => ++x)
        return Effect.forEach(
          senders,
          ({ rpc }) => Effect.forEach(positions, (x) => rpc.Point({ x }), { concurrency: 2, discard: true }),
          { concurrency: "unbounded", discard: true }
        )
      })
    const hasNewest = ({ last }: typeof slow) => names.every((name) => last.get(name) === x)
    yield* move(10)
    yield* until(() => hasNewest(slow), "everybody keeps up")
    const grown: Array<number> = []
    for (const _ of [1, 2]) {
      yield* proxy.setConditions({ bytesPerSecond: 1 }, "toClient")
      // 16 MB fill the network between them, and what may wait in the socket
      yield* move(1000)
      const [before, heardBefore] = [yield* server.bytes, slow.heard.count]
      yield* move(2500)
      grown.push((yield* server.bytes) - before)
      yield* until(() => hasNewest(fast), "who reads has all")
      assert.strictEqual(slow.heard.count, heardBefore)
      yield* proxy.setConditions({})
      yield* until(() => hasNewest(slow), "who reads again has the newest")
      assert.isBelow(slow.heard.count, names.length * x / 2)
      assert.strictEqual(yield* slow.feed.rpc.Me(), slow.id)
      assert.deepStrictEqual(yield* slow.feed.status.get, ConnectionStatus.Connected({ resumed: false }))
      assert.deepStrictEqual(yield* slow.feed.rpc.Gone(), [])
    }
    console.log(
      `grown by ${grown.map((bytes) => (bytes / KiB).toFixed(0)).join(" ")} KiB;`
        + ` told ${slow.heard.count} of ${4 * x}, who reads ${fast.heard.count}`
    )
    // 40 MB were sent each time
    for (const bytes of grown) assert.isAtMost(bytes, 1024 * KiB)
  }))
