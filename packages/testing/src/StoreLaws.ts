/**
 * What every `ActorStore` has to keep to. Not exported from the index, because it needs vitest: import the module from a test
 * file and call `register`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Address from "@troupe/contract/Address"
import * as ActorStore from "@troupe/server/ActorStore"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import { Waits } from "./internal/Patience.ts"

/** The store the laws are checked on. */
export interface Subject {
  /**
   * A place for a store that is empty, and the layer that opens it. Each law makes its own, and opens it at most once at
   * a time.
   */
  readonly make: Effect.Effect<Layer.Layer<ActorStore.ActorStore, unknown>, never, Scope.Scope>
  /** Whether opening the layer again finds what was there when it was closed. */
  readonly reopens: boolean
  /**
   * The same for a store whose retention is so short that a law can wait for its end; absent if there is none. It keeps
   * time by Effect's clock.
   */
  readonly expiring?: Effect.Effect<Layer.Layer<ActorStore.ActorStore, unknown>, never, Scope.Scope>
  /** How long a law waits when no operation ends, in milliseconds of real time. Default: 20 seconds. */
  readonly patienceMillis?: number
}

type Store = typeof ActorStore.ActorStore.Service

/** What may stand for a key, a session, or the id of an alarm. */
const oddNames: ReadonlyArray<string> = [
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

/** Alarms are due at real times, which need more than 32 bits. */
const today = 1_767_225_600_000

const alice = Address.make("Lab", "alice")
const bob = Address.make("Lab", "bob")

const epochsAtOnce = 3000
const batchLength = 200
const alarmsOfOne = 1000
const repliesOfOne = 1000
/** More than what a byte counts. */
const commitsOfOne = 300
const rivals = 20
const largeUnits = 1024 * 1024

const patienceMillisDefault = 20_000

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

/** A claim that stands one commit further. */
const after = <A extends Pick<ActorStore.Claim, "version">>(claim: A): A => ({ ...claim, version: claim.version + 1 })

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

/** A store in a place of its own. */
type Place = Layer.Layer<ActorStore.ActorStore, unknown>

/** Uses a store from opening to closing. */
type Opened = <A, E>(place: Place, use: (store: Store) => Effect.Effect<A, E>) => Effect.Effect<A, unknown>

const makeOpened = ({ patienceMillis = patienceMillisDefault }: Subject): Opened => {
  const watch = (store: Store, waits: Waits): Store => ({
    retentionMillis: store.retentionMillis,
    nextEpoch: waits.for("nextEpoch", store.nextEpoch),
    claim: (address) => waits.for("claim", store.claim(address)),
    replies: (address) => waits.for("replies", store.replies(address)),
    alarms: (query) => waits.for("alarms", store.alarms(query)),
    commit: (batch) => waits.for("commit", store.commit(batch))
  })

  const open = (place: Place, waits: Waits) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const close = waits.guard(waits.for("the store to close", Scope.close(scope, Exit.void)))
      const opening = waits.for("the store to open", Layer.buildWithScope(Layer.fresh(place), scope))
      const context = yield* Effect.onError(waits.guard(opening), () => close)
      return { store: watch(Context.get(context, ActorStore.ActorStore), waits), close }
    })

  return (place, use) =>
    Effect.suspend(() => {
      const waits = new Waits(patienceMillis)
      return Effect.acquireUseRelease(
        open(place, waits),
        ({ store }) => waits.guard(use(store)),
        ({ close }) => close
      )
    })
}

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
  const opened = makeOpened(subject)
  const law: Enact = (title, check) =>
    simple.push({ title, check: Effect.flatMap(subject.make, (place) => opened(place, check)) })
  commitLaws(law)
  raceLaws(law)
  replyLaws(law)
  alarmLaws(law)
  destroyLaws(law)
  valueLaws(law)
  epochLaws(law)
  return [
    ...simple,
    modelLaw(subject, opened),
    ...subject.reopens ? reopenLaws(subject, opened) : [],
    ...subject.expiring ? [retentionLaw(subject.expiring, opened)] : []
  ]
}

/** A law that tries many histories, on a disk that is slow. */
const timeoutMillis = 60_000

/** Registers the laws for one store, as tests. Time passes in them. */
export const register = (name: string, subject: Subject): void => {
  describe(name, () => {
    for (const { check, title } of laws(subject)) it.scopedLive(title, () => check, timeoutMillis)
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
    "a batch is answered in its order, and one that is superseded does not stop the others, wherever it stands",
    (store) =>
      Effect.gen(function*() {
        const three = ["1", "2", "3"].map((key) => Address.make("Lab", key))
        for (const late of [[0], [1], [2], [0, 2], [0, 1, 2]]) {
          const old = yield* Effect.forEach(three, (address) => store.claim(address))
          const owners = yield* Effect.forEach(three, (address) => store.claim(address))
          const isLate = (i: number) => late.includes(i)
          // of an older owner, or ahead
          const claimOf = (i: number) => !isLate(i) ? owners[i]! : i === 1 ? after(owners[i]!) : old[i]!
          const state = JSON.stringify(late)
          const results = yield* store.commit(three.map((address, i) => commitOf(address, claimOf(i), { state })))
          assert.deepStrictEqual(tags(results), three.map((_, i) => isLate(i) ? "superseded" : "committed"), state)
          for (const [i, address] of three.entries()) {
            const { state: before, version } = owners[i]!
            const expected = isLate(i) ? { state: before, version } : { state, version: version + 1 }
            assert.deepInclude(yield* store.claim(address), expected)
          }
        }
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

const atOnce = { concurrency: "unbounded" } as const

/** What happens to one actor at the same time. It is tried before its first commit, and after. */
const raceLaws = (law: Enact) => {
  law(
    "of commits that build on one version at the same time exactly one is committed, and stays",
    (store) =>
      Effect.gen(function*() {
        for (const version of [0, 1, 2]) {
          const claim = yield* store.claim(alice)
          assert.strictEqual(claim.version, version)
          const commits = Array.from({ length: rivals }, (_, i) =>
            commitOf(alice, claim, {
              state: JSON.stringify([version, i]),
              replies: [reply(i)],
              settledSegments: [version],
              alarms: set(alarm("a", i + 1))
            }))
          const results = yield* Effect.forEach(commits, (commit) => store.commit([commit]), atOnce)
          const won = commits.filter((_, i) => results[i]![0]?._tag === "committed")
          assert.lengthOf(won, 1, "so many commits on one version were committed")
          const { alarms, replies, state } = won[0]!
          const read = yield* store.claim(alice)
          assert.deepInclude(read, { version: version + 1, state, alarms: [alarms![0]!.alarm!] })
          assert.deepStrictEqual(yield* store.replies(alice), [{ seq: version + 1, replies }])
        }
      })
  )

  law(
    "of claims at the same time each has an epoch of its own, and the newest owns the actor",
    (store) =>
      Effect.gen(function*() {
        for (const version of [0, 1, 2]) {
          const claims = yield* Effect.forEach(Array.from({ length: rivals }), () => store.claim(alice), atOnce)
          const byAge = [...claims].sort((one, two) => one.epoch - two.epoch)
          assertIncreasing(byAge.map(({ epoch }) => epoch))
          for (const claim of claims) assert.strictEqual(claim.version, version)
          for (const [i, claim] of byAge.entries()) {
            const results = yield* store.commit([commitOf(alice, claim, { state: `${claim.epoch}` })])
            const expected = i === rivals - 1 ? "committed" : "superseded"
            assert.deepStrictEqual(tags(results), [expected], `claim ${i + 1} of ${rivals}, oldest first`)
          }
        }
      })
  )

  law(
    "a commit at the same time as a claim is in what the claim reads, or is superseded",
    (store) =>
      Effect.gen(function*() {
        const actors = Array.from({ length: rivals }, (_, i) => Address.make("Lab", `${i}`))
        for (const version of [0, 1]) {
          yield* Effect.forEach(actors, (address, i) =>
            Effect.gen(function*() {
              const before = yield* store.claim(address)
              const committing = store.commit([commitOf(address, before, { state: `${version}`, replies: [reply(i)] })])
              const claiming = store.claim(address)
              const [results, claim] = i % 2 === 0
                ? yield* Effect.all([committing, claiming], atOnce)
                : yield* Effect.map(
                  Effect.all([claiming, committing], atOnce),
                  ([claim, results]) => [results, claim] as const
                )
              const isIn = claim.version > before.version
              assert.deepStrictEqual(tags(results), [isIn ? "committed" : "superseded"], "what the claim has read")
              assert.strictEqual(claim.state, isIn ? `${version}` : before.state)
              const next = commitOf(address, claim, { state: `${version}` })
              assert.deepStrictEqual(tags(yield* store.commit([next])), ["committed"])
            }), atOnce)
        }
      })
  )
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

  law("any number of replies of one commit come back as they went", (store) =>
    Effect.gen(function*() {
      const calls = [0, 1, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]
      const replies = [
        ...calls.map((call) => reply(call)),
        ...oddNames.map((session) => reply(1, session)),
        ...Array.from({ length: repliesOfOne }, (_, i) => reply(i, `session ${i % 7}`)),
        { ...reply(1, "long"), exit: JSON.stringify({ _tag: "Success", value: "é".repeat(largeUnits) }) }
      ]
      yield* commitAll(store, commitOf(alice, yield* store.claim(alice), { replies }))
      const segments = yield* store.replies(alice)
      assert.deepStrictEqual(segments.map(({ seq }) => seq), [1])
      const found = segments[0]!.replies
      assert.strictEqual(found.length, replies.length)
      // one by one: a difference in all of them could not be read
      replies.forEach(({ exit, ...rest }, i) => {
        assert.deepInclude(found[i]!, rest)
        assert.isTrue(found[i]!.exit === exit, `the exit of reply ${i} has changed`)
      })
    }))

  law("any number of commits can wait for their replies to be fetched", (store) =>
    Effect.gen(function*() {
      const { epoch } = yield* store.claim(alice)
      const commits = Array.from(
        { length: commitsOfOne },
        (_, version) => commitOf(alice, { epoch, version }, { state: `${version}`, replies: [reply(version)] })
      )
      yield* commitAll(store, ...commits)
      const seqs = commits.map(({ version }) => version + 1)
      assert.deepStrictEqual(yield* store.replies(alice), seqs.map((seq) => ({ seq, replies: [reply(seq - 1)] })))
      const settledSegments = seqs.filter((seq) => seq % 3 !== 0)
      yield* commitAll(store, commitOf(alice, { epoch, version: commitsOfOne }, { state: undefined, settledSegments }))
      const left = (yield* store.replies(alice)).map(({ seq }) => seq)
      assert.deepStrictEqual(left, seqs.filter((seq) => seq % 3 === 0))
      assert.deepInclude(yield* store.claim(alice), { version: commitsOfOne + 1, state: `${commitsOfOne - 1}` })
    }))

  law("it says for how long replies are kept", ({ retentionMillis }) =>
    Effect.sync(() => {
      assert.isTrue(Number.isFinite(retentionMillis) && retentionMillis > 0, `retentionMillis: ${retentionMillis}`)
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

  law("alarms come back as they went, whatever is in them", (store) =>
    Effect.gen(function*() {
      const alarms = [
        ...oddNames.map((id, i) =>
          alarm(id, today + i, { tag: id.includes("a") ? "ring" : "Läu\u0000ten", firing: `${i}` })
        ),
        alarm("tries", 1, { attempt: 65_537, firing: "é".repeat(1000) }),
        alarm("far", Number.MAX_SAFE_INTEGER, { attempt: 11, tag: "R".repeat(300) }),
        alarm("long", undefined, { attempt: 4, payload: JSON.stringify("é".repeat(largeUnits)) })
      ]
      yield* commitAll(store, commitOf(alice, yield* store.claim(alice), { alarms: set(...alarms) }))
      const found = yield* alarmsOf(store, alice)
      assert.strictEqual(found.length, alarms.length)
      sorted(alarms).forEach(({ payload, ...rest }, i) => {
        assert.deepInclude(found[i]!, rest)
        assert.isTrue(found[i]!.payload === payload, `the payload of alarm ${rest.id} has changed`)
      })
    }))

  law("the ids of alarms are compared exactly", (store) =>
    Effect.gen(function*() {
      const { epoch } = yield* store.claim(alice)
      const ring = (id: string, due: number) => alarm(id, due, { firing: "1" })
      yield* commitAll(
        store,
        commitOf(alice, { epoch, version: 0 }, { alarms: set(...oddNames.map((id) => ring(id, 1))) }),
        commitOf(alice, { epoch, version: 1 }, { alarms: [{ id: "a", alarm: undefined }, ...set(ring("A", 2))] })
      )
      const expected = oddNames.filter((id) => id !== "a").map((id) => ring(id, id === "A" ? 2 : 1))
      assert.deepStrictEqual(yield* alarmsOf(store, alice), sorted(expected))
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

  law(
    "each actor is in one page of what is due, whatever its key and however long the pages",
    (store) =>
      Effect.gen(function*() {
        const dues = [today, today + 1]
        for (const contract of ["Lab", "lab"]) {
          for (const key of oddNames) {
            const address = Address.make(contract, key)
            const alarms = set(...dues.map((due) => alarm(`${due}`, contract === "Lab" ? due : due + 10)))
            yield* commitAll(store, commitOf(address, yield* store.claim(address), { alarms }))
          }
        }
        const all = yield* allDue(store, "Lab", 1000)
        assert.deepStrictEqual(all.map(({ due }) => due), dues.flatMap((due) => oddNames.map(() => due)))
        for (const due of dues) {
          const keys = all.filter((position) => position.due === due).map(({ key }) => key)
          assert.sameMembers(keys, [...oddNames])
        }
        // keys may have any order, as long as it is one
        for (const max of [1, 7]) assert.deepStrictEqual(yield* allDue(store, "Lab", max), all, `${max} at once`)
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

const valueLaws = (law: Enact) => {
  law("keys are compared exactly, whatever is in them", (store) =>
    Effect.gen(function*() {
      const addresses = oddNames.flatMap((key) => [Address.make("Lab", key), Address.make("lab", key)])
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
      const large = JSON.stringify("é".repeat(largeUnits / 2) + "x".repeat(largeUnits / 2))
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

/** Histories are tried for so long, and one that fails is made shorter. */
const historiesMillis = 30_000

const modelLaw = (subject: Subject, opened: Opened): Law => {
  const compare = (steps: ReadonlyArray<Step>) =>
    Effect.gen(function*() {
      const expected = yield* opened(ActorStore.layerMemory, (store) => run(store, steps))
      const actual = yield* opened(yield* subject.make, (store) => run(store, steps))
      assert.deepStrictEqual(actual, expected)
    })
  return {
    title: "says what a simple store in memory says, whatever happens",
    check: Effect.flatMap(Effect.runtime<Scope.Scope>(), (runtime) =>
      Effect.promise((signal) =>
        FastCheck.assert(
          FastCheck.asyncProperty(
            FastCheck.array(step, { minLength: 1, maxLength: 40 }),
            (steps) => Runtime.runPromise(runtime, compare(steps), { signal })
          ),
          { numRuns: 30, interruptAfterTimeLimit: historiesMillis }
        )
      ))
  }
}

// --- closing and opening ---------------------------------------------------------------------------------------------

const reopenLaws = (subject: Subject, opened: Opened): ReadonlyArray<Law> => [
  {
    title: "opening it again finds everything as it was",
    check: Effect.gen(function*() {
      const place = yield* subject.make
      yield* opened(place, (store) =>
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
      yield* opened(place, (store) =>
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
    title: "opening it again finds which actors were destroyed, and how often",
    check: Effect.gen(function*() {
      const place = yield* subject.make
      for (const life of [0, 1, 2]) {
        yield* opened(place, (store) =>
          Effect.gen(function*() {
            const left = life === 0 ? [] : [{ seq: 2 * life, replies: [reply(life)] }]
            assert.deepStrictEqual(yield* store.replies(alice), left)
            assert.deepStrictEqual(yield* allDue(store, "Lab", 10), [])
            const claim = yield* store.claim(alice)
            assert.deepInclude(claim, { version: 2 * life, incarnation: life, state: undefined, alarms: [] })
            yield* commitAll(
              store,
              commitOf(alice, claim, { state: "1", replies: [reply(0)], alarms: set(alarm("a", 5)) }),
              commitOf(alice, after(claim), { replies: [reply(life + 1)], destroy: true })
            )
          }))
      }
    })
  },
  {
    title: "no epoch is given again, even if nothing was ever committed",
    check: Effect.gen(function*() {
      const place = yield* subject.make
      const epochs: Array<number> = []
      for (let i = 0; i < 3; i++) {
        yield* opened(place, (store) =>
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
      const place = yield* subject.make
      const old = yield* opened(
        place,
        (store) => Effect.tap(store.claim(alice), (claim) => commitAll(store, commitOf(alice, claim)))
      )
      yield* opened(place, (store) =>
        Effect.gen(function*() {
          yield* store.claim(alice)
          const stale = commitOf(alice, { epoch: old.epoch, version: 1 })
          assert.deepStrictEqual(tags(yield* store.commit([stale])), ["superseded"])
        }))
    })
  }
]

// --- retention -------------------------------------------------------------------------------------------------------

/** Real time may pass in between, so that what is seen too late says nothing. */
const retentionLaw = (make: NonNullable<Subject["expiring"]>, opened: Opened): Law => ({
  title: "replies are kept for as long as it says, and are not read any more then; the rest of the actor is",
  check: Effect.flatMap(make, (place) =>
    opened(place, (store) =>
      Effect.gen(function*() {
        const alarms = [alarm("a", 5)]
        const from = yield* Clock.currentTimeMillis
        const claim = yield* store.claim(alice)
        yield* commitAll(store, commitOf(alice, claim, { state: "1", replies: [reply(1)], alarms: set(...alarms) }))
        const age = Effect.map(Clock.currentTimeMillis, (now) => now - from)
        while (true) {
          const found = yield* store.replies(alice)
          if ((yield* age) >= store.retentionMillis) break
          assert.deepStrictEqual(found, [{ seq: 1, replies: [reply(1)] }])
          yield* Effect.sleep(store.retentionMillis / 4)
        }
        // what it was kept for began with the commit
        yield* Effect.sleep(2 * store.retentionMillis)
        assert.deepStrictEqual(yield* store.replies(alice), [])
        assert.deepInclude(yield* store.claim(alice), { version: 1, state: "1", alarms })
      })))
})
