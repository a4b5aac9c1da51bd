/** What listeners do at the moment at which they are told: they may call, subscribe, connect, close, or pause. */
import { assert, it } from "@effect/vitest"
import { Promises } from "@troupe/client"
import { ConnectionError, type Contract, Gap } from "@troupe/contract"
import { Effect, Exit, Schedule, Scope } from "effect"
import { Tally } from "./support/tally.ts"
import { atOnce, makeWorld, pass, told, word, type World } from "./support/world.ts"

const options = { params: { who: "ann" } }

type Own = Promises.OwnConnection<Contract.DefinitionOf<Tally>>

/** A connection that somebody may close at once, with a subscription that has a gap when it comes back. */
const openWithGap = (world: World, onGap: (connection: Own) => void) =>
  Effect.gen(function*() {
    const client = yield* world.client(atOnce)
    const scope = yield* Scope.make()
    const own: Own = Object.assign(Promises.of(yield* Scope.extend(client.connect(Tally, "a", options), scope)), {
      close: () => Effect.runSync(Scope.close(scope, Exit.void))
    })
    let gaps = 0
    yield* Effect.promise(() =>
      own.on("added", (item) => {
        if (!Gap.isGap(item)) return
        gaps++
        onGap(own)
      })
    )
    const lose = Effect.gen(function*() {
      yield* client.pause
      yield* pass("1 hour")
      yield* client.resume
      yield* told
      assert.strictEqual(gaps, 1)
    })
    return { own, lose }
  })

it.scoped("C6 C7 E3 a listener that is told of a gap makes calls: each is sent once, and answered", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    yield* world.trace.open("gate")
    const answers: Array<unknown> = []
    const { lose } = yield* openWithGap(world, ({ rpc }) => {
      for (const call of [rpc.Add({ label: "x" }), rpc.Once({ label: "y", gate: "gate" }), rpc.Add({ label: "z" })]) {
        call.then((count) => answers.push(count), (error) => answers.push(error))
      }
    })
    const requests: Array<string> = []
    yield* world.network.onMessage(({ frames, from }) => {
      for (const frame of frames) {
        if (from !== "client" || frame._tag !== "Message" || frame.payload._tag !== "Request") continue
        requests.push(frame.payload.tag)
      }
    })
    yield* lose
    assert.deepStrictEqual(answers, [1, 2, 3])
    assert.deepStrictEqual(requests, ["Add", "Once", "Add"])
    assert.deepStrictEqual(world.labels(), ["x", "y", "z"])
  }))

it.scoped("C6 a listener that is told of a gap closes the connection: it stays closed, and calls are refused", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const { lose, own } = yield* openWithGap(world, ({ close }) => close())
    const seen: Array<string> = []
    own.onStatus((status) => void seen.push(word(status)))
    yield* lose
    assert.strictEqual(word(own.status), "closed ClientClosed")
    assert.strictEqual(seen.at(-1), "closed ClientClosed")
    const late = yield* Effect.promise(() => own.rpc.Add({ label: "late" }).catch((error) => error))
    assert.instanceOf(late, ConnectionError.ConnectionClosed)
    assert.isTrue(world.trace.log.includes("disconnect ann ClientClosed"))
  }))

it.scoped("a listener that is told of the end connects again: the client dials for it", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client({ schedule: Schedule.recurs(0) })
    const first = Promises.of(yield* client.connect(Tally, "a", options))
    const scope = yield* Effect.scope
    const opened: Array<string> = []
    const again = () =>
      Effect.runFork(
        Effect.tap(Scope.extend(client.connect(Tally, "a", options), scope), () => Effect.sync(() => opened.push("")))
      )
    first.onStatus(({ _tag }) => {
      if (_tag !== "Closed") return
      Effect.runSync(world.network.setReachability("reachable"))
      again()
    })
    yield* world.network.setReachability("refused")
    yield* world.network.cut
    yield* told
    assert.strictEqual(word(first.status), "closed GaveUp")
    assert.lengthOf(opened, 1)
    again()
    yield* told
    assert.lengthOf(opened, 2)
  }))

it.scoped("a subscription that was never live is told to have failed once", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client()
    const scope = yield* Scope.make()
    const own = Promises.of(yield* Scope.extend(client.connect(Tally, "a", options), scope))
    const ended: Array<string> = []
    const tell = (what: string) => (error: unknown) => void ended.push(`${what} ${(error as Error).name}`)
    yield* Effect.promise(() => own.on("tick", () => {}, tell("tick ended")))
    yield* client.pause
    own.on("added", () => {}, tell("added ended")).catch(tell("added rejected"))
    yield* Scope.close(scope, Exit.void)
    yield* told
    assert.deepStrictEqual(ended, ["tick ended ConnectionClosed", "added rejected ConnectionClosed"])
  }))

it.scoped("a listener that pauses the client while its connections open leaves none that connects", () =>
  Effect.gen(function*() {
    const world = yield* makeWorld()
    yield* world.serve()
    const client = yield* world.client(atOnce)
    const first = Promises.of(yield* client.connect(Tally, "a", options))
    const second = Promises.of(yield* client.connect(Tally, "a", options))
    let cut = false
    yield* world.network.onMessage(({ carries }) => {
      if (cut || !carries("Opened")) return
      cut = true
      return "cut-before"
    })
    let connecting = 0
    first.onStatus(({ _tag }) => {
      // first that it is dialled, then that there is a link, on which both open
      if (cut && _tag === "Connecting" && ++connecting === 2) Effect.runSync(client.pause)
    })
    yield* world.store.fail("failed")
    first.rpc.Add({ label: "lost" }).catch(() => {})
    yield* told
    assert.strictEqual(connecting, 2)
    assert.strictEqual(word(first.status), "waiting 0 Paused")
    assert.strictEqual(word(second.status), "waiting 0 Paused")
  }))
