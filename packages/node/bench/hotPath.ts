/**
 * What the steps of a call cost, one by one and in one process, without sockets: nanoseconds, as one line of JSON. A name
 * on the command line runs the steps that begin with it, a number after it so many milliseconds of each, 150 unless it is
 * given. Links are in memory, and say what a socket would.
 */
import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as ActorClient from "@troupe/client/ActorClient"
import * as Promises from "@troupe/client/Promises"
import * as Actor from "@troupe/contract/Actor"
import type { Contract } from "@troupe/contract/Contract"
import type { Link, LinkHandler } from "@troupe/contract/Link"
import * as Frame from "@troupe/contract/protocol/Frame"
import * as SqliteStore from "@troupe/node/SqliteStore"
import * as ActorHost from "@troupe/server/ActorHost"
import * as Gateway from "@troupe/server/Gateway"
import * as LocalTransport from "@troupe/server/LocalTransport"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

const rpcs = RpcGroup.make(
  Rpc.make("Add", { payload: { by: Schema.Number, note: Schema.NullOr(Schema.String) }, success: Schema.Number }),
  Rpc.make("Say", { payload: { text: Schema.String } })
)
const definition = { rpcs, events: { said: Schema.String } }
class Memory extends Actor.Tag<Memory>()("Memory", definition) {}
class Commit extends Actor.Tag<Commit>()("Commit", definition) {}

const layerOf = <Self>(
  contract: Contract<Self, string, typeof definition>,
  durability: "memory" | "commit"
) =>
  contract.toLayer(
    { state: Schema.Struct({ count: Schema.Number }), initialState: () => ({ count: 0 }), durability },
    (counter) =>
      Effect.succeed(counter.behavior({
        rpcs: {
          Add: ({ by }) => Ref.modify(counter.state, ({ count }) => [count + by, { count: count + by }]),
          Say: ({ text }) => counter.broadcast("said", text)
        }
      }))
  )

const actors = [Memory, Commit]
const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "troupe-hot-path-"))
const scope = Effect.runSync(Scope.make())
const Host = ActorHost.layer({ idleTimeout: "1 hour" }).pipe(
  Layer.provide(SqliteStore.layer({ filename: Path.join(folder, "store.db") }))
)
const Live = ActorClient.layer().pipe(
  Layer.provideMerge(LocalTransport.layer({ actors })),
  Layer.merge(Layer.scopedDiscard(Effect.map(Gateway.make({ actors }), (made) => (gateway = made)))),
  Layer.provide([layerOf(Memory, "memory"), layerOf(Commit, "commit")]),
  Layer.provide(Host)
)
let gateway!: Effect.Effect.Success<ReturnType<typeof Gateway.make>>
const context = await Effect.runPromise(Layer.buildWithScope(Live, scope))
const client = Context.get(context, ActorClient.ActorClient)

/** The message of a call that has the number of its message. */
const request = (seq: number, tag: string, payload: unknown): string =>
  Frame.encodeMessage(1, seq, Frame.encodeRequest(seq, tag, payload))

/** A peer of the gateway that speaks frames. */
class Peer implements Link {
  private readonly handler: LinkHandler
  private waits: { readonly frames: number; readonly resolve: () => void } | undefined
  private heard = 0
  private seq = 0

  constructor(readonly contract: string, events: ReadonlyArray<string> = []) {
    this.handler = gateway.accept(this, { headers: {} as never, url: "/", remoteAddress: undefined })
    this.say([JSON.stringify({ _tag: "Hello", version: Frame.version })])
    this.say([JSON.stringify({
      _tag: "Open",
      channel: 1,
      session: `${Math.random()}`.slice(2).padEnd(32, "0"),
      contract,
      key: "a",
      events,
      opening: 1,
      settledBelow: 1,
      sentBelow: 1,
      pending: []
    })])
  }

  readonly say = (frames: ReadonlyArray<string>): void => this.handler.onMessage(Frame.join(frames))
  readonly close = (code: number, reason: string): void => this.handler.onClose({ code, reason })
  readonly buffered = (): number => 0

  /** Acknowledges now and then, as clients do with what they send. */
  readonly send = (text: string): void => {
    const received = Frame.list(text)!.filter((frame) => Array.isArray(frame) && frame.length > 2).length
    if (received === 0) return
    this.heard += received
    if (this.waits && this.heard >= this.waits.frames) {
      const { resolve } = this.waits
      this.waits = undefined
      resolve()
    }
  }

  /** Waits until so many messages have come since the last time. */
  expect(messages: number): Promise<void> {
    return new Promise((resolve) => (this.waits = { frames: this.heard + messages, resolve }))
  }

  acknowledge(): void {
    this.say([Frame.encodeAck(1, this.heard)])
  }

  /** Calls, and waits for the answers. */
  async call(tag: string, payload: unknown, count: number): Promise<void> {
    const answered = this.expect(count)
    this.say(Array.from({ length: count }, () => request(++this.seq, tag, payload)))
    await answered
    this.acknowledge()
  }
}

const opened = () => new Promise((resolve) => setTimeout(resolve, 100))
const add = { by: 1, note: null }
const atOnce = 64

/** A step: how often it is done in a go, and the go. */
interface Step {
  readonly count: number
  readonly go: () => Promise<void> | void
}

const turns = async (contract: string): Promise<Step> => {
  const peer = new Peer(contract)
  await opened()
  return { count: atOnce, go: () => peer.call("Add", add, atOnce) }
}

const broadcast = async (): Promise<Step> => {
  const count = 500
  const speaker = new Peer("Memory")
  const listeners = Array.from({ length: count }, () => new Peer("Memory", ["said"]))
  await opened()
  return {
    count,
    go: async () => {
      const heard = listeners.map((peer) => peer.expect(1))
      await speaker.call("Say", { text: "something that somebody says to all" }, 1)
      await Promise.all(heard)
      for (const peer of listeners) peer.acknowledge()
    }
  }
}

const connection = (contract: typeof Memory, key: string) =>
  Effect.runPromise(Scope.extend(client.connect(contract, key), scope))

const inParallel = (call: () => Promise<unknown>): Step => ({
  count: atOnce,
  go: async () => void await Promise.all(Array.from({ length: atOnce }, call))
})

let woken = 0

const steps: Record<string, () => Promise<Step> | Step> = {
  "frames: a request is decoded": () => {
    const text = Frame.join(Array.from({ length: atOnce }, (_, i) => request(i + 1, "Add", add)))
    return { count: atOnce, go: () => void Frame.decodeClient(text) }
  },
  "frames: an answer is decoded": () => {
    const exit = Frame.encodeExit(12345, "{\"_tag\":\"Success\",\"value\":12345}")
    const text = Frame.join(Array.from({ length: atOnce }, (_, i) => Frame.encodeMessage(1, i + 1, exit)))
    return { count: atOnce, go: () => void Frame.decodeServer(text) }
  },
  "turn: a call is dispatched, run and answered": () => turns("Memory"),
  "commit: the same, and committed": () => turns("Commit"),
  "broadcast: an event is sent to one of 500": broadcast,
  "client: a call by an effect, with its turn": async () => {
    const { rpc } = await connection(Memory, "effects")
    return inParallel(() => Effect.runPromise(rpc.Add(add)))
  },
  "client: a call by a promise, with its turn": async () => {
    const { rpc } = Promises.of(await connection(Memory, "promises"))
    return inParallel(() => rpc.Add(add))
  },
  "wake: an actor wakes, is called and is left": () =>
    inParallel(() =>
      Effect.runPromise(
        Effect.scoped(Effect.flatMap(client.connect(Memory, `woken ${woken++}`), ({ rpc }) => rpc.Add(add)))
      )
    )
}

const repeats = 5

const [, , only = "", millisMin = "150"] = process.argv

/** The least of several goes of at least so long: what others do on the machine only adds to it. */
const measure = async ({ count, go }: Step): Promise<number> => {
  let best = Infinity
  for (let repeat = 0; repeat < repeats; repeat++) {
    const begun = performance.now()
    let done = 0
    do {
      await go()
      done += count
    } while (performance.now() - begun < Number(millisMin))
    best = Math.min(best, (performance.now() - begun) * 1e6 / done)
  }
  return best
}

const figures: Record<string, number> = {}
for (const [name, make] of Object.entries(steps)) {
  if (name.startsWith(only)) figures[name] = Math.round(await measure(await make()))
}
console.log(JSON.stringify(figures))
Fs.rmSync(folder, { recursive: true, force: true })
process.exit(0)
