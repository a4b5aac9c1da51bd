/**
 * What every `ActorStore` has to keep to. Not exported from the index, because it needs vitest: import the module from a test
 * file and call `register`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Address from "@troupe/contract/Address"
import * as ActorStore from "@troupe/server/ActorStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"

/** The store the laws are checked on. */
export interface Subject {
  /**
   * A place for a store that is empty, and the layer that opens it. Each law makes its own, and opens it at most once at
   * a time.
   */
  readonly make: Effect.Effect<Layer.Layer<ActorStore.ActorStore, unknown>, never, Scope.Scope>
  /** Whether opening the layer again finds what was there when it was closed. */
  readonly reopens: boolean
}

type Store = typeof ActorStore.ActorStore.Service

const alice = Address.make("Lab", "alice")
const bob = Address.make("Lab", "bob")

const epochsAtOnce = 3000
const batchLength = 200
const alarmsOfOne = 1000
const largeStateUnits = 1024 * 1024

/** A commit of a new state on top of a claim, with what the law is about. */
const commitOf = (
  address: Address.Address,
  { epoch, version }: Pick<ActorStore.Claim, "epoch" | "version">,
  rest: Partial<ActorStore.Commit> = {}
): ActorStore.Commit => ({
  address,
  epoch,
  version,
  state: "{}",
  replies: [],
  settledSegments: [],
  fsync: false,
  ...rest
})

const reply = (call: number, session = "session"): ActorStore.RecordedReply => ({
  session,
  call,
  exit: JSON.stringify({ _tag: "Success", value: `é\u0000"${call}` })
})

const tags = (results: ReadonlyArray<ActorStore.CommitResult>) => results.map((result) => result._tag)

/** Commits one after the other, and expects each to be applied. */
const commitAll = (store: Store, ...commits: ReadonlyArray<ActorStore.Commit>) =>
  Effect.forEach(
    commits,
    (commit) =>
      Effect.map(store.commit([commit]), (results) => assert.deepStrictEqual(results, [{ _tag: "committed" }])),
    {
      discard: true
    }
  )

/** Opens the store in a scope of its own, which `close` ends. */
const openIn = (layer: Layer.Layer<ActorStore.ActorStore, unknown>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(Layer.fresh(layer), scope)
    return { store: Context.get(context, ActorStore.ActorStore), close: Scope.close(scope, Exit.void) }
  })

/** Uses the store from opening to closing. */
const opened = <A, E>(layer: Layer.Layer<ActorStore.ActorStore, unknown>, use: (store: Store) => Effect.Effect<A, E>) =>
  Effect.acquireUseRelease(openIn(layer), ({ store }) => use(store), ({ close }) => close)

/** What a store has to keep to. */
export interface Law {
  readonly title: string
  /** Fails, or is a defect, if the store does not. */
  readonly check: Effect.Effect<void, unknown, Scope.Scope>
}

type Enact = (title: string, check: (store: Store) => Effect.Effect<void, unknown>) => void

/** The laws for one store. */
export const laws = (subject: Subject): ReadonlyArray<Law> => {
  const simple: Array<Law> = []
  const law: Enact = (title, check) =>
    simple.push({ title, check: Effect.flatMap(subject.make, (layer) => opened(layer, check)) })
  epochLaws(law)
  commitLaws(law)
  replyLaws(law)
  alarmLaws(law)
  destroyLaws(law)
  valueLaws(law)
  return [...simple, modelLaw(subject), ...subject.reopens ? reopenLaws(subject) : []]
}

/** A law that tries many histories, on a disk that is slow. */
const timeoutMillis = 60_000

/** Registers the laws for one store, as tests. */
export const register = (name: string, subject: Subject): void => {
  describe(name, () => {
    for (const { check, title } of laws(subject)) it.scoped(title, () => check, timeoutMillis)
  })
}

const assertIncreasing = (epochs: ReadonlyArray<number>) => {
  for (let i = 1; i < epochs.length; i++) assert.isAbove(epochs[i]!, epochs[i - 1]!)
}

const epochLaws = (law: Enact) => {
  law("epochs increase, claims and bare epochs alike", (store) =>
    Effect.gen(function*() {
      const first = yield* store.nextEpoch
      const claim = yield* store.claim(alice)
      const second = yield* store.nextEpoch
      const again = yield* store.claim(alice)
      const other = yield* store.claim(bob)
      assertIncreasing([0, first, claim.epoch, second, again.epoch, other.epoch])
    }))

  law("epochs asked for at the same time are all different", (store) =>
    Effect.gen(function*() {
      const epochs = yield* Effect.forEach(
        Array.from({ length: epochsAtOnce }, (_, i) => i),
        (i) =>
          i % 2 === 0 ? store.nextEpoch : Effect.map(store.claim(Address.make("Lab", `${i}`)), ({ epoch }) => epoch),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(new Set(epochs).size, epochsAtOnce)
    }))
}

const commitLaws = (law: Enact) => {
  law("an actor that was never committed has version 0 and no state", (store) =>
    Effect.gen(function*() {
      const first = yield* store.claim(alice)
      assert.deepInclude(first, { version: 0, state: undefined })
      assert.deepInclude(yield* store.claim(alice), { version: 0, state: undefined })
      assert.deepStrictEqual(yield* store.replies(alice), [])
    }))

  law("what was committed is what the next claim reads", (store) =>
    Effect.gen(function*() {
      const { epoch } = yield* store.claim(alice)
      yield* commitAll(
        store,
        commitOf(alice, { epoch, version: 0 }, { state: "1" }),
        commitOf(alice, { epoch, version: 1 }, { state: "{\"n\":2}", fsync: true })
      )
      assert.deepInclude(yield* store.claim(alice), { version: 2, state: "{\"n\":2}" })
      assert.deepInclude(yield* store.claim(bob), { version: 0, state: undefined })
    }))

  law("a commit without a state keeps the one before, and counts", (store) =>
    Effect.gen(function*() {
      const { epoch } = yield* store.claim(alice)
      yield* commitAll(
        store,
        commitOf(alice, { epoch, version: 0 }, { state: undefined, replies: [reply(1)] }),
        commitOf(alice, { epoch, version: 1 }, { state: "\"kept\"" }),
        commitOf(alice, { epoch, version: 2 }, { state: undefined })
      )
      assert.deepInclude(yield* store.claim(alice), { version: 3, state: "\"kept\"" })
    }))

  law("a commit of an older epoch is superseded and changes nothing", (store) =>
    Effect.gen(function*() {
      const old = yield* store.claim(alice)
      yield* commitAll(store, commitOf(alice, old, { state: "\"old\"", replies: [reply(1)] }))
      const owner = yield* store.claim(alice)
      const stale = commitOf(alice, { epoch: old.epoch, version: 1 }, {
        state: "\"stale\"",
        replies: [reply(2)],
        settledSegments: [1]
      })
      assert.deepStrictEqual(tags(yield* store.commit([stale])), ["superseded"])
      assert.deepStrictEqual(yield* store.replies(alice), [{ seq: 1, replies: [reply(1)] }])
      yield* commitAll(store, commitOf(alice, owner, { state: "\"new\"" }))
      assert.deepStrictEqual(tags(yield* store.commit([stale])), ["superseded"])
      assert.deepInclude(yield* store.claim(alice), { version: 2, state: "\"new\"" })
    }))

  law("before the first commit too, an older epoch is superseded", (store) =>
    Effect.gen(function*() {
      const old = yield* store.claim(alice)
      const owner = yield* store.claim(alice)
      assert.deepStrictEqual(tags(yield* store.commit([commitOf(alice, old, { state: "\"old\"" })])), ["superseded"])
      yield* commitAll(store, commitOf(alice, owner, { state: "\"new\"" }))
      assert.deepStrictEqual(tags(yield* store.commit([commitOf(alice, old, { state: "\"old\"" })])), ["superseded"])
      assert.deepInclude(yield* store.claim(alice), { version: 1, state: "\"new\"" })
    }))

  law("a commit on another version is superseded and changes nothing", (store) =>
    Effect.gen(function*() {
      const { epoch } = yield* store.claim(alice)
      const first = commitOf(alice, { epoch, version: 0 }, { state: "1", replies: [reply(1)] })
      yield* commitAll(store, first)
      // the same once more, as if its answer had been lost, and one that runs ahead
      assert.deepStrictEqual(tags(yield* store.commit([first])), ["superseded"])
      const ahead = commitOf(alice, { epoch, version: 2 }, { state: "3", settledSegments: [1] })
      assert.deepStrictEqual(tags(yield* store.commit([ahead])), ["superseded"])
      assert.deepStrictEqual(yield* store.replies(alice), [{ seq: 1, replies: [reply(1)] }])
      assert.deepInclude(yield* store.claim(alice), { version: 1, state: "1" })
    }))

  law(
    "a batch is answered in its order, and one that is superseded does not stop the others",
    (store) =>
      Effect.gen(function*() {
        const stale = yield* store.claim(alice)
        const owner = yield* store.claim(alice)
        const other = yield* store.claim(bob)
        const results = yield* store.commit([
          commitOf(alice, stale, { state: "1" }),
          commitOf(bob, other, { state: "2" })
        ])
        assert.deepStrictEqual(tags(results), ["superseded", "committed"])
        assert.deepInclude(yield* store.claim(bob), { version: 1, state: "2" })
        yield* commitAll(store, commitOf(alice, owner, { state: "3" }))
        assert.deepStrictEqual(yield* store.commit([]), [])
      })
  )

  law("a batch of many actors is applied to its end", (store) =>
    Effect.gen(function*() {
      const actors = Array.from({ length: batchLength }, (_, i) => Address.make("Lab", `${i}`))
      const claims = yield* Effect.forEach(actors, (address) => store.claim(address))
      const results = yield* store.commit(
        actors.map((address, i) => commitOf(address, claims[i]!, { state: `${i}`, replies: [reply(i)] }))
      )
      assert.deepStrictEqual(tags(results), actors.map(() => "committed"))
      for (const [i, address] of actors.entries()) {
        assert.deepInclude(yield* store.claim(address), { version: 1, state: `${i}` })
        assert.deepStrictEqual(yield* store.replies(address), [{ seq: 1, replies: [reply(i)] }])
      }
    }))

  law("actors commit at the same time, each as often as it likes", (store) =>
    Effect.gen(function*() {
      const actors = Array.from({ length: 20 }, (_, i) => Address.make(i % 2 === 0 ? "Even" : "Odd", `${i >> 1}`))
      yield* Effect.forEach(actors, (address, i) =>
        Effect.gen(function*() {
          const { epoch } = yield* store.claim(address)
          yield* commitAll(
            store,
            ...Array.from(
              { length: 10 },
              (_, version) => commitOf(address, { epoch, version }, { state: JSON.stringify([i, version]) })
            )
          )
        }), { concurrency: "unbounded" })
      const states = yield* Effect.forEach(actors, (address) => Effect.map(store.claim(address), ({ state }) => state))
      assert.deepStrictEqual(states, actors.map((_, i) => JSON.stringify([i, 9])))
    }))
}

const replyLaws = (law: Enact) => {
  law("recorded replies come back by commit, oldest first, until they are settled", (store) =>
    Effect.gen(function*() {
      const { epoch } = yield* store.claim(alice)
      const commits = Array.from({ length: 12 }, (_, version) =>
        commitOf(alice, { epoch, version }, {
          replies: version % 3 === 2 ? [] : [reply(version), reply(version, "b")]
        }))
      yield* commitAll(store, ...commits)
      const segments = (...seqs: ReadonlyArray<number>) =>
        seqs.map((seq) => ({ seq, replies: [reply(seq - 1), reply(seq - 1, "b")] }))
      assert.deepStrictEqual(yield* store.replies(alice), segments(1, 2, 4, 5, 7, 8, 10, 11))
      yield* commitAll(store, commitOf(alice, { epoch, version: 12 }, { settledSegments: [2, 1, 10, 999] }))
      assert.deepStrictEqual(yield* store.replies(alice), segments(4, 5, 7, 8, 11))
      assert.deepStrictEqual(yield* store.replies(bob), [])
    }))

  law("replies survive a change of the owner", (store) =>
    Effect.gen(function*() {
      yield* commitAll(store, commitOf(alice, yield* store.claim(alice), { replies: [reply(1)] }))
      const owner = yield* store.claim(alice)
      assert.deepStrictEqual(yield* store.replies(alice), [{ seq: 1, replies: [reply(1)] }])
      yield* commitAll(store, commitOf(alice, owner, { settledSegments: [1], replies: [reply(2)] }))
      assert.deepStrictEqual(yield* store.replies(alice), [{ seq: 2, replies: [reply(2)] }])
    }))
}

const alarm = (id: string, due: number | undefined, rest: Partial<ActorStore.Alarm> = {}): ActorStore.Alarm => ({
  id,
  due,
  tag: "Ring",
  payload: JSON.stringify({ id, text: "é\u0000\"" }),
  attempt: 0,
  firing: `${id}.1`,
  ...rest
})

const set = (...alarms: ReadonlyArray<ActorStore.Alarm>): ReadonlyArray<ActorStore.AlarmChange> =>
  alarms.map((alarm) => ({ id: alarm.id, alarm }))

const sorted = (alarms: ReadonlyArray<ActorStore.Alarm>) => [...alarms].sort((a, b) => a.id < b.id ? -1 : 1)

const alarmsOf = (store: Store, address: Address.Address) =>
  Effect.map(store.claim(address), ({ alarms }) => sorted(alarms))

/** Reads page by page. */
const allDue = (store: Store, contract: string, max: number) =>
  Effect.gen(function*() {
    const all: Array<ActorStore.Position> = []
    for (let after: ActorStore.Position | undefined;; after = all[all.length - 1]) {
      const page = yield* store.alarms({ contract, after, max })
      assert.isAtMost(page.length, max)
      all.push(...page.map(({ due, key }) => ({ due, key })))
      if (page.length < max) return all
    }
  })

const alarmLaws = (law: Enact) => {
  law(
    "alarms are set, replaced and cancelled by commits, and the next claim reads those that are left",
    (store) =>
      Effect.gen(function*() {
        const { epoch } = yield* store.claim(alice)
        const later = alarm("b", 7, { attempt: 3, firing: "b.2", payload: undefined })
        const parked = alarm("c", undefined)
        yield* commitAll(
          store,
          commitOf(alice, { epoch, version: 0 }, { alarms: set(alarm("a", 5), alarm("b", 6), parked) }),
          commitOf(alice, { epoch, version: 1 }, { alarms: [...set(later), { id: "a", alarm: undefined }] }),
          commitOf(alice, { epoch, version: 2 }, { alarms: [{ id: "unknown", alarm: undefined }] })
        )
        assert.deepStrictEqual(yield* alarmsOf(store, alice), [later, parked])
        assert.deepStrictEqual(yield* alarmsOf(store, bob), [])
      })
  )

  law("a claim reads all alarms of its actor", (store) =>
    Effect.gen(function*() {
      const alarms = Array.from(
        { length: alarmsOfOne },
        (_, i) => alarm(`${i}`.padStart(4, "0"), i % 2 ? i : undefined)
      )
      yield* commitAll(store, commitOf(alice, yield* store.claim(alice), { alarms: set(...alarms) }))
      assert.deepStrictEqual(yield* alarmsOf(store, alice), alarms)
    }))

  law("a commit that is superseded changes no alarm", (store) =>
    Effect.gen(function*() {
      const old = yield* store.claim(alice)
      yield* commitAll(store, commitOf(alice, old, { alarms: set(alarm("a", 5)) }))
      yield* store.claim(alice)
      const stale = commitOf(alice, { epoch: old.epoch, version: 1 }, {
        alarms: [...set(alarm("b", 6)), { id: "a", alarm: undefined }]
      })
      assert.deepStrictEqual(tags(yield* store.commit([stale])), ["superseded"])
      assert.deepStrictEqual(yield* alarmsOf(store, alice), [alarm("a", 5)])
    }))

  law(
    "alarms that are due are listed by time and key, page by page, by contract, without those that are parked",
    (store) =>
      Effect.gen(function*() {
        const keys = ["b", "a", "c"]
        for (const key of keys) {
          const address = Address.make("Lab", key)
          yield* commitAll(
            store,
            commitOf(address, yield* store.claim(address), {
              // two that are due together count once
              alarms: set(alarm("1", 10), alarm("2", 10), alarm("3", key === "c" ? 5 : 20), alarm("4", undefined))
            })
          )
        }
        const other = Address.make("Other", "a")
        yield* commitAll(store, commitOf(other, yield* store.claim(other), { alarms: set(alarm("1", 1)) }))
        const expected = [
          { due: 5, key: "c" },
          { due: 10, key: "a" },
          { due: 10, key: "b" },
          { due: 10, key: "c" },
          { due: 20, key: "a" },
          { due: 20, key: "b" }
        ]
        for (const max of [1, 2, 3, 100]) assert.deepStrictEqual(yield* allDue(store, "Lab", max), expected, `${max}`)
        assert.deepStrictEqual(yield* allDue(store, "Nobody", 1), [])
      })
  )
}

const destroyLaws = (law: Enact) => {
  law(
    "destroying deletes state, alarms and what was recorded, keeps its own replies, and begins the next incarnation",
    (store) =>
      Effect.gen(function*() {
        for (const life of [0, 1]) {
          const claim = yield* store.claim(alice)
          assert.deepInclude(claim, { incarnation: life, state: undefined, alarms: [] })
          const { version } = claim
          yield* commitAll(
            store,
            commitOf(alice, claim, {
              state: "1",
              replies: [reply(1)],
              alarms: set(alarm("a", 5), alarm("parked", undefined))
            }),
            commitOf(alice, { ...claim, version: version + 1 }, {
              state: "2",
              replies: [reply(2)],
              alarms: set(alarm("b", 6)),
              destroy: true
            })
          )
          assert.deepStrictEqual(yield* store.replies(alice), [{ seq: version + 2, replies: [reply(2)] }])
          assert.deepStrictEqual(yield* allDue(store, "Lab", 10), [])
          // who destroyed it does not own what comes next
          const next = yield* store.claim(alice)
          assert.deepInclude(next, { version: version + 2, state: undefined, incarnation: life + 1, alarms: [] })
          const stale = commitOf(alice, { ...claim, version: version + 2 }, { state: "3" })
          assert.deepStrictEqual(tags(yield* store.commit([stale])), ["superseded"])
        }
      })
  )

  law("an actor can be destroyed that was never committed", (store) =>
    Effect.gen(function*() {
      yield* commitAll(
        store,
        commitOf(alice, yield* store.claim(alice), { state: undefined, replies: [reply(1)], destroy: true })
      )
      const next = yield* store.claim(alice)
      assert.deepInclude(next, { incarnation: 1, state: undefined })
      yield* commitAll(store, commitOf(alice, next, { state: "1" }))
      assert.deepInclude(yield* store.claim(alice), { incarnation: 1, state: "1" })
      assert.deepStrictEqual(yield* store.replies(alice), [{ seq: 1, replies: [reply(1)] }])
    }))

  law("what is kept of a life can be settled in the next, and goes with its end", (store) =>
    Effect.gen(function*() {
      const end = (life: number, settledSegments: ReadonlyArray<number>) =>
        Effect.gen(function*() {
          const claim = yield* store.claim(alice)
          const { version } = claim
          yield* commitAll(
            store,
            commitOf(alice, claim, { state: "1", settledSegments }),
            commitOf(alice, { ...claim, version: version + 1 }, { replies: [reply(life)], destroy: true })
          )
          const kept = version + 2
          assert.deepStrictEqual(yield* store.replies(alice), [{ seq: kept, replies: [reply(life)] }])
          return kept
        })
      const first = yield* end(1, [])
      const claim = yield* store.claim(alice)
      yield* commitAll(store, commitOf(alice, claim, { state: "1", settledSegments: [first] }))
      assert.deepStrictEqual(yield* store.replies(alice), [])
      yield* end(2, [])
      yield* end(3, [])
    }))

  law("an owner from before cannot destroy", (store) =>
    Effect.gen(function*() {
      const old = yield* store.claim(alice)
      yield* commitAll(store, commitOf(alice, old, { state: "1", replies: [reply(1)] }))
      yield* store.claim(alice)
      const stale = commitOf(alice, { epoch: old.epoch, version: 1 }, { destroy: true })
      assert.deepStrictEqual(tags(yield* store.commit([stale])), ["superseded"])
      assert.lengthOf(yield* store.replies(alice), 1)
      assert.deepInclude(yield* store.claim(alice), { incarnation: 0, state: "1" })
    }))
}

const oddKeys: ReadonlyArray<string> = [
  " ",
  "a",
  "A",
  "a ",
  "ä",
  "a\u0308",
  "😀",
  "'; DROP TABLE actor; --",
  "\"quoted\"",
  "%",
  "_",
  "a/b",
  "/",
  "../..",
  "\\",
  "a\nb",
  "a\u0000b",
  "a\u0000c",
  "\u0000",
  "__proto__",
  "constructor",
  "1",
  "1.0",
  "null",
  "x".repeat(512),
  "😀".repeat(128)
]

const valueLaws = (law: Enact) => {
  law("keys are compared exactly, whatever is in them", (store) =>
    Effect.gen(function*() {
      const addresses = oddKeys.flatMap((key) => [Address.make("Lab", key), Address.make("lab", key)])
      const stateOf = ({ contract, key }: Address.Address) => JSON.stringify([contract, key])
      for (const address of addresses) {
        const claim = yield* store.claim(address)
        assert.strictEqual(claim.version, 0, stateOf(address))
        yield* commitAll(store, commitOf(address, claim, { state: stateOf(address), replies: [reply(1, address.key)] }))
      }
      for (const address of addresses) {
        assert.deepInclude(yield* store.claim(address), { version: 1, state: stateOf(address) })
        assert.deepStrictEqual(yield* store.replies(address), [{ seq: 1, replies: [reply(1, address.key)] }])
      }
    }))

  law("a slash belongs to the name or to the key, and is not mixed up", (store) =>
    Effect.gen(function*() {
      const one = Address.make("a/b", "c")
      const two = Address.make("a", "b/c")
      const first = yield* store.claim(one)
      const second = yield* store.claim(two)
      yield* commitAll(store, commitOf(one, first, { state: "1" }), commitOf(two, second, { state: "2" }))
      assert.strictEqual((yield* store.claim(one)).state, "1")
      assert.strictEqual((yield* store.claim(two)).state, "2")
    }))

  law("a state of 1 MiB and one of every kind of character come back as they went", (store) =>
    Effect.gen(function*() {
      const large = JSON.stringify("é".repeat(largeStateUnits / 2) + "x".repeat(largeStateUnits / 2))
      const odd = JSON.stringify("'\"\\ \u0000\n\u2028😀\ud800 é")
      yield* commitAll(store, commitOf(alice, yield* store.claim(alice), { state: large }))
      yield* commitAll(store, commitOf(bob, yield* store.claim(bob), { state: odd }))
      assert.isTrue((yield* store.claim(alice)).state === large)
      assert.strictEqual((yield* store.claim(bob)).state, odd)
    }))
}

// --- against a model -------------------------------------------------------------------------------------------------

/** One step of a random history. Numbers are taken modulo what there is. */
type Step =
  | { readonly _tag: "claim"; readonly actor: number }
  | {
    readonly _tag: "commit"
    readonly claim: number
    readonly versionOff: number
    readonly state: boolean
    readonly replies: number
    readonly settled: ReadonlyArray<number>
    readonly alarms: ReadonlyArray<readonly [id: number, due: number]>
    readonly destroy: boolean
    readonly fsync: boolean
  }

const step: FastCheck.Arbitrary<Step> = FastCheck.oneof(
  { weight: 1, arbitrary: FastCheck.record({ _tag: FastCheck.constant("claim" as const), actor: FastCheck.nat(2) }) },
  {
    weight: 3,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("commit" as const),
      claim: FastCheck.nat(),
      versionOff: FastCheck.constantFrom(0, 0, 0, 0, -1, 1),
      state: FastCheck.boolean(),
      replies: FastCheck.nat(2),
      settled: FastCheck.array(FastCheck.nat(8), { maxLength: 3 }),
      alarms: FastCheck.uniqueArray(FastCheck.tuple(FastCheck.nat(3), FastCheck.nat(9)), {
        maxLength: 2,
        selector: ([id]) => id
      }),
      destroy: FastCheck.constantFrom(false, false, false, false, false, true),
      fsync: FastCheck.boolean()
    })
  }
)

const actors = [alice, bob, Address.make("Other", "alice")]

/** Alarms are due at real times, which need more than 32 bits. */
const today = 1_767_225_600_000

/** Runs a history and writes down everything the store says, with epochs by the order in which they were given. */
const run = (store: Store, steps: ReadonlyArray<Step>) =>
  Effect.gen(function*() {
    const said: Array<unknown> = []
    const claims: Array<{ readonly address: Address.Address; readonly epoch: number }> = []
    const versions = new Map<Address.Address, number>()
    for (const [i, step] of steps.entries()) {
      if (step._tag === "claim" || claims.length === 0) {
        const address = actors[step._tag === "claim" ? step.actor : 0]!
        const { alarms, epoch, incarnation, state, version } = yield* store.claim(address)
        claims.push({ address, epoch })
        said.push(["claim", version, incarnation, state, sorted(alarms), yield* store.replies(address)])
        continue
      }
      // mostly the newest claim
      const { address, epoch } = claims[Math.max(0, claims.length - 1 - step.claim % 3)]!
      const known = versions.get(address) ?? 0
      const results = yield* store.commit([
        commitOf(address, { epoch, version: Math.max(0, known + step.versionOff) }, {
          state: step.state ? String(i) : undefined,
          replies: Array.from({ length: step.replies }, (_, n) => reply(i * 10 + n)),
          settledSegments: step.settled,
          // an alarm is cancelled, parked, or due
          alarms: step.alarms.map(([id, due]) => ({
            id: `${id}`,
            alarm: due === 0 ? undefined : alarm(`${id}`, due === 1 ? undefined : today + due)
          })),
          destroy: step.destroy,
          fsync: step.fsync
        })
      ])
      if (results[0]?._tag === "committed") versions.set(address, known + 1)
      said.push(["commit", tags(results), yield* store.replies(address), yield* allDue(store, address.contract, 3)])
    }
    return said
  })

const modelLaw = (subject: Subject): Law => {
  const compare = (steps: ReadonlyArray<Step>) =>
    Effect.gen(function*() {
      const expected = yield* opened(ActorStore.layerMemory, (store) => run(store, steps))
      const actual = yield* opened(yield* subject.make, (store) => run(store, steps))
      assert.deepStrictEqual(actual, expected)
    })
  return {
    title: "says what a simple store in memory says, whatever happens",
    check: Effect.flatMap(Effect.runtime<Scope.Scope>(), (runtime) =>
      Effect.promise(() =>
        FastCheck.assert(
          FastCheck.asyncProperty(
            FastCheck.array(step, { minLength: 1, maxLength: 40 }),
            (steps) => Runtime.runPromise(runtime, compare(steps))
          ),
          { numRuns: 30 }
        )
      ))
  }
}

// --- closing and opening ---------------------------------------------------------------------------------------------

const reopenLaws = (subject: Subject): ReadonlyArray<Law> => [
  {
    title: "opening it again finds everything as it was",
    check: Effect.gen(function*() {
      const layer = yield* subject.make
      yield* opened(layer, (store) =>
        Effect.gen(function*() {
          const claim = yield* store.claim(alice)
          yield* commitAll(
            store,
            commitOf(alice, claim, { state: "1", replies: [reply(1)] }),
            commitOf(alice, { ...claim, version: 1 }, { state: "2", replies: [reply(2)] }),
            commitOf(alice, { ...claim, version: 2 }, {
              state: undefined,
              settledSegments: [1],
              replies: [reply(3)],
              alarms: set(alarm("a", 5), alarm("b", undefined))
            })
          )
        }))
      yield* opened(layer, (store) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* allDue(store, "Lab", 10), [{ due: 5, key: "alice" }])
          assert.deepStrictEqual(yield* alarmsOf(store, alice), [alarm("a", 5), alarm("b", undefined)])
          assert.deepInclude(yield* store.claim(alice), { version: 3, state: "2" })
          assert.deepStrictEqual(yield* store.replies(alice), [
            { seq: 2, replies: [reply(2)] },
            { seq: 3, replies: [reply(3)] }
          ])
          assert.deepInclude(yield* store.claim(bob), { version: 0, state: undefined })
        }))
    })
  },
  {
    title: "no epoch is given again, even if nothing was ever committed",
    check: Effect.gen(function*() {
      const layer = yield* subject.make
      const epochs: Array<number> = []
      for (let i = 0; i < 3; i++) {
        yield* opened(layer, (store) =>
          Effect.gen(function*() {
            epochs.push(yield* store.nextEpoch, (yield* store.claim(alice)).epoch, yield* store.nextEpoch)
          }))
      }
      assertIncreasing([0, ...epochs])
    })
  },
  {
    title: "an owner from before cannot commit any more once the actor has been claimed",
    check: Effect.gen(function*() {
      const layer = yield* subject.make
      const old = yield* opened(
        layer,
        (store) => Effect.tap(store.claim(alice), (claim) => commitAll(store, commitOf(alice, claim)))
      )
      yield* opened(layer, (store) =>
        Effect.gen(function*() {
          yield* store.claim(alice)
          const stale = commitOf(alice, { epoch: old.epoch, version: 1 })
          assert.deepStrictEqual(tags(yield* store.commit([stale])), ["superseded"])
        }))
    })
  }
]
