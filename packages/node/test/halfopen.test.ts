/** Links whose peer says nothing any more, and nobody is told: processes that are frozen, a network that loses all. */
import { assert, it } from "@effect/vitest"
import { Gap } from "@troupe/contract"
import * as TcpProxy from "@troupe/testing/node/TcpProxy"
import { Effect, Fiber, Stream } from "effect"
import { connect, serve } from "./utils/FeedServer.ts"
import * as Program from "./utils/Program.ts"
import { until } from "./utils/until.ts"

const heartbeat = 100
const silence = 400
const gateway = { heartbeat, silence }

/** What a busy machine may add. */
const slack = 2000

type Connected = Effect.Effect.Success<ReturnType<typeof connect>>

const statusOf = (feed: Connected) => Effect.runSync(feed.status.get)

/** Waits until the client has given its link up, and returns after how many milliseconds. */
const givesUp = (feed: Connected) =>
  Effect.gen(function*() {
    const before = performance.now()
    yield* until(() => statusOf(feed)._tag === "Waiting", "the client has given the link up")
    return performance.now() - before
  })

/** What the connections of a feed have been told to post, as `name-of-connection text`, in order. */
const listenTo = (feed: Connected) =>
  Effect.gen(function*() {
    const texts: Array<string> = []
    yield* Effect.forkScoped(Stream.runForEach(yield* feed.events("posted"), (post) =>
      Effect.sync(() =>
        void texts.push(Gap.isGap(post) ? "gap" : post.text)
      )))
    return texts
  })

const numbers = (count: number) => Array.from({ length: count }, (_, i) => `${i + 1}`)

it.scopedLive("C9 a server that is frozen is given up within the bound, and calls made then run once when it goes on", () =>
  Effect.gen(function*() {
    const { port, program } = yield* serve({ gateway })
    const feed = yield* connect(port, "ann")
    const heard = yield* listenTo(feed)
    const id = yield* feed.rpc.Me()
    for (const round of [1, 2, 3]) {
      yield* program.kill("SIGSTOP")
      const call = yield* Effect.fork(feed.rpc.Post({ at: 0, text: `${round}` }))
      const after = yield* givesUp(feed)
      assert.isAtLeast(after, silence - heartbeat - 50)
      assert.isAtMost(after, silence + 2 * heartbeat + slack)
      assert.strictEqual(call.unsafePoll(), null)
      yield* program.kill("SIGCONT")
      yield* Fiber.join(call)
      assert.strictEqual(yield* feed.rpc.Me(), id, "it is the same connection")
      yield* until(() => heard.length === round, "the post is heard")
    }
    assert.deepStrictEqual(heard, numbers(3))
    assert.deepStrictEqual(yield* feed.rpc.Gone(), [])
  }))

it.scopedLive("C9 a client that is frozen is given up by the server, and goes on with its connection when it can", () =>
  Effect.gen(function*() {
    const { port } = yield* serve({ gateway })
    const feed = yield* connect(port, "observer")
    const heard = yield* listenTo(feed)
    const proxy = yield* TcpProxy.make({ target: port })
    const poster = yield* Program.start("post-numbers", [`${proxy.port}`, "frozen"])
    yield* until(() => heard.length > 3, "it posts", "2 minutes")
    for (const round of [1, 2, 3]) {
      yield* poster.kill("SIGSTOP")
      const before = performance.now()
      assert.strictEqual(yield* proxy.connections, 1)
      // the server closes its end; the client's end takes that, and its process does not know
      yield* until(() => Effect.runSync(proxy.connections) === 0, `the server gives the link up, round ${round}`)
      assert.isAtMost(performance.now() - before, 1.5 * silence + 2000 + slack)
      assert.include(yield* feed.rpc.Who(), "frozen", "it may come back")
      const count = heard.length
      yield* poster.kill("SIGCONT")
      yield* until(() => heard.length > count + 3, "it goes on")
    }
    assert.deepStrictEqual(heard, numbers(heard.length))
    assert.deepStrictEqual(poster.lines.length, 1)
    assert.deepStrictEqual(yield* feed.rpc.Gone(), [])
  }))

it.scopedLive("C9 a client that stays frozen beyond the resume window is let go, and opens anew when it can", () =>
  Effect.gen(function*() {
    const { port } = yield* serve({ gateway, host: { resumeWindow: 300 } })
    const feed = yield* connect(port, "observer")
    const heard = yield* listenTo(feed)
    const poster = yield* Program.start("post-numbers", [`${port}`, "frozen"])
    yield* until(() => heard.length > 3, "it posts", "2 minutes")
    for (const round of [1, 2]) {
      yield* poster.kill("SIGSTOP")
      const gone = Effect.map(feed.rpc.Gone(), (all) => all.filter((end) => end === "frozen ResumeExpired").length)
      yield* until(() => Effect.runPromise(Effect.map(Effect.orDie(gone), (count) => count === round)), "it is let go")
      assert.deepStrictEqual(yield* feed.rpc.Who(), ["observer"])
      const count = heard.length
      yield* poster.kill("SIGCONT")
      yield* until(() => heard.length > count + 3, "it goes on")
    }
    // a call that ran before the freeze is not run again on the new connection: the actor remembers the session's calls
    assert.deepStrictEqual(heard, numbers(heard.length))
  }))

it.scopedLive("C9 in a network that loses everything both sides give the link up, and another one goes on", () =>
  Effect.gen(function*() {
    const { port } = yield* serve({ gateway })
    const proxy = yield* TcpProxy.make({ target: port })
    const feed = yield* connect(proxy.port, "ann")
    const heard = yield* listenTo(feed)
    const id = yield* feed.rpc.Me()
    for (const round of [1, 2, 3]) {
      yield* proxy.setSilent(true)
      assert.isAtLeast(yield* proxy.blackHole(), 1)
      const call = yield* Effect.fork(feed.rpc.Post({ at: 0, text: `${round}` }))
      const after = yield* givesUp(feed)
      assert.isAtLeast(after, silence - heartbeat - 50)
      assert.isAtMost(after, silence + 2 * heartbeat + slack)
      // dials get lost as well
      yield* Effect.sleep(silence)
      assert.strictEqual(call.unsafePoll(), null)
      yield* proxy.setSilent(false)
      yield* proxy.cut
      yield* Fiber.join(call)
      assert.strictEqual(yield* feed.rpc.Me(), id, "it is the same connection")
      yield* until(() => heard.length === round, "the post is heard")
    }
    assert.deepStrictEqual(heard, numbers(3))
  }))
