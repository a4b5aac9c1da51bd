/** Stores that are wrong, each in one way: the laws of stores find them all. */
import { assert, describe, it } from "@effect/vitest"
import { ActorStore } from "@troupe/server"
import * as StoreLaws from "@troupe/testing/StoreLaws"
import { Cause, Clock, Context, Effect, Exit, Layer } from "effect"

type Store = typeof ActorStore.ActorStore.Service

const idOf = ({ contract, key }: ActorStore.Commit["address"]) => JSON.stringify([contract, key])

/** Changes each commit before the store sees it. */
const asIf = (change: (commit: ActorStore.Commit) => Partial<ActorStore.Commit>) => (store: Store): Partial<Store> => ({
  commit: (batch) => store.commit(batch.map((commit) => ({ ...commit, ...change(commit) })))
})

const claimsAre =
  (change: (claim: ActorStore.Claim) => Partial<ActorStore.Claim>) => (store: Store): Partial<Store> => ({
    claim: (address) => Effect.map(store.claim(address), (claim) => ({ ...claim, ...change(claim) }))
  })

/** Changes each reply that a commit records. */
const replies = (change: (reply: ActorStore.RecordedReply) => Partial<ActorStore.RecordedReply>) =>
  asIf(({ replies }) => ({ replies: replies.map((reply) => ({ ...reply, ...change(reply) })) }))

/** Changes each alarm that is set, and the id of those that are cancelled. */
const alarms = (change: (alarm: ActorStore.Alarm) => Partial<ActorStore.Alarm>, idOf = (id: string) => id) =>
  asIf(({ alarms = [] }) => ({
    alarms: alarms.map(({ alarm, id }) => ({ id: idOf(id), alarm: alarm && { ...alarm, ...change(alarm) } }))
  }))

/** Lets others have their turn, as a statement to a database does. */
const turn = Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void)))

interface Row {
  epoch: number
  version: number
}

/** The rows as a store reads them that looks before it writes. */
const looking = (use: (store: Store, rows: Map<string, Row>) => Partial<Store>) => (store: Store): Partial<Store> => {
  const rows = new Map<string, Row>()
  const claim: Store["claim"] = (address) =>
    Effect.tap(store.claim(address), ({ epoch, version }) => void rows.set(idOf(address), { epoch, version }))
  return { claim, ...use({ ...store, claim }, rows) }
}

const isOwner = (rows: Map<string, Row>, { address, epoch, version }: ActorStore.Commit) => {
  const row = rows.get(idOf(address))
  return row === undefined || row.epoch === epoch && row.version === version
}

const superseded: ActorStore.CommitResult = { _tag: "superseded" }

const broken: Record<string, (store: Store) => Partial<Store>> = {
  "gives an epoch again": (store) => ({ nextEpoch: Effect.map(store.nextEpoch, (epoch) => epoch >> 1) }),
  "lets an owner commit that has been superseded": (store) => {
    const latest = new Map<string, number>()
    return {
      claim: (address) => Effect.tap(store.claim(address), ({ epoch }) => void latest.set(idOf(address), epoch)),
      commit: (batch) =>
        store.commit(batch.map((commit) => ({ ...commit, epoch: latest.get(idOf(commit.address)) ?? commit.epoch })))
    }
  },
  "does not look at the version": (store) => {
    const versions = new Map<string, number>()
    return {
      claim: (address) => Effect.tap(store.claim(address), ({ version }) => void versions.set(idOf(address), version)),
      commit: (batch) =>
        Effect.tap(
          store.commit(batch.map((commit) => ({ ...commit, version: versions.get(idOf(commit.address)) ?? 0 }))),
          (results) =>
            batch.forEach(({ address }, i) => {
              if (results[i]!._tag === "committed") versions.set(idOf(address), (versions.get(idOf(address)) ?? 0) + 1)
            })
        )
    }
  },
  "loses replies": asIf(() => ({ replies: [] })),
  "loses the replies of what is flushed": asIf(({ fsync, replies }) => ({ replies: fsync ? [] : replies })),
  "keeps replies that are settled": asIf(() => ({ settledSegments: [] })),
  "takes no state for an empty one": asIf(({ state = "" }) => ({ state })),
  "ends no actor": asIf(() => ({ destroy: false })),
  "forgets how often an actor has ended": claimsAre(() => ({ incarnation: 0 })),
  "reads two alarms of an actor": claimsAre(({ alarms }) => ({ alarms: alarms.slice(0, 2) })),
  "keeps parked alarms when their actor ends": (store) => {
    const parked = new Map<string, ActorStore.Alarm>()
    return {
      commit: (batch) =>
        Effect.tap(store.commit(batch), () => {
          for (const { address, alarms = [] } of batch) {
            for (const { alarm, id } of alarms) {
              if (alarm && alarm.due === undefined) parked.set(idOf(address), alarm)
              else if (parked.get(idOf(address))?.id === id) parked.delete(idOf(address))
            }
          }
        }),
      claim: (address) =>
        Effect.map(store.claim(address), (claim) => {
          const kept = parked.get(idOf(address))
          const isThere = !kept || claim.alarms.some(({ id }) => id === kept.id)
          return isThere ? claim : { ...claim, alarms: [...claim.alarms, kept] }
        })
    }
  },
  "finds no alarm whose time needs more than 32 bits": (store) => ({
    alarms: (query) => Effect.map(store.alarms(query), (found) => found.filter(({ due }) => due < 2 ** 31))
  }),
  "drops the end of a batch": (store) => ({
    commit: (batch) =>
      Effect.map(store.commit(batch.slice(0, 100)), (results) => batch.map((_, i) => results[i] ?? results[0]!))
  }),
  "has one actor for keys that differ in case": (store) => {
    const lower = <A extends ActorStore.Commit["address"]>(address: A): A => ({
      ...address,
      contract: address.contract.toLowerCase()
    })
    return {
      claim: (address) => store.claim(lower(address)),
      replies: (address) => store.replies(lower(address)),
      commit: (batch) => store.commit(batch.map((commit) => ({ ...commit, address: lower(commit.address) })))
    }
  },
  "looks at the version, and writes later": looking((store, rows) => ({
    commit: (batch) =>
      Effect.gen(function*() {
        const owned = batch.map((commit) => isOwner(rows, commit))
        yield* turn
        return yield* Effect.forEach(batch, (commit, i) => {
          const row = rows.get(idOf(commit.address))
          if (!owned[i] || !row) return Effect.succeed(superseded)
          return Effect.map(store.commit([{ ...commit, ...row }]), ([result]) => {
            row.version++
            return result!
          })
        })
      })
  })),
  "reads for a claim, and takes the actor later": (store) => {
    const rows = new Map<string, Pick<ActorStore.Claim, "state" | "version">>()
    return {
      claim: (address) =>
        Effect.gen(function*() {
          const read = rows.get(idOf(address))
          yield* turn
          return { ...yield* store.claim(address), ...read }
        }),
      commit: (batch) =>
        Effect.tap(store.commit(batch), (results) =>
          batch.forEach(({ address, destroy, state, version }, i) => {
            if (results[i]!._tag !== "committed") return
            const next = destroy ? undefined : state ?? rows.get(idOf(address))?.state
            rows.set(idOf(address), { state: next, version: version + 1 })
          }))
    }
  },
  "has the owner that has written last, and not the newest": looking((store, rows) => {
    let claims = 0
    return {
      claim: (address) =>
        Effect.gen(function*() {
          const claim = yield* store.claim(address)
          if (claims++ % 2 === 0) yield* turn
          rows.set(idOf(address), claim)
          return claim
        }),
      commit: ([commit, ...batch]) => {
        const row = commit && rows.get(idOf(commit.address))
        return row && row.epoch !== commit.epoch
          ? Effect.map(store.commit(batch), (results) => [superseded, ...results])
          : store.commit(commit ? [commit, ...batch] : [])
      }
    }
  }),
  "gives two claims at once one epoch": (store) => {
    let latest: ActorStore.Claim["epoch"] | undefined
    return {
      claim: (address) =>
        Effect.gen(function*() {
          const before = latest
          latest = 0
          const claim = yield* store.claim(address)
          latest = claim.epoch
          yield* turn
          latest = undefined
          return before ? { ...claim, epoch: before } : claim
        })
    }
  },
  "undoes what stands before a commit that is superseded": looking((store, rows) => ({
    commit: (batch) => {
      const first = batch.findIndex((commit) => !isOwner(rows, commit))
      const undone = batch.slice(0, Math.max(first, 0)).map((): ActorStore.CommitResult => ({ _tag: "committed" }))
      return Effect.map(store.commit(batch.slice(undone.length)), (results) => {
        results.forEach(({ _tag }, i) => {
          const row = rows.get(idOf(batch[undone.length + i]!.address))
          if (row && _tag === "committed") row.version++
        })
        return [...undone, ...results]
      })
    }
  })),
  "keeps two replies of a commit": asIf(({ replies }) => ({ replies: replies.slice(0, 2) })),
  "keeps 1000 replies of a commit": asIf(({ replies }) => ({ replies: replies.slice(0, 1000) })),
  "reads 10 segments": (store) => ({
    replies: (address) => Effect.map(store.replies(address), (all) => all.slice(0, 10))
  }),
  "reads 255 segments": (store) => ({
    replies: (address) => Effect.map(store.replies(address), (all) => all.slice(0, 255))
  }),
  "settles four segments of a commit": asIf(({ settledSegments }) => ({
    settledSegments: settledSegments.slice(0, 4)
  })),
  "cuts long answers": replies(({ exit }) => ({ exit: exit.slice(0, 1000) })),
  "cuts answers at 64 KiB": replies(({ exit }) => ({ exit: exit.slice(0, 65_535) })),
  "counts calls with 16 bits": replies(({ call }) => ({ call: call & 0xffff })),
  "counts calls with 32 bits": replies(({ call }) => ({ call: call >>> 0 })),
  "has sessions that do not differ in case": replies(({ session }) => ({ session: session.toLowerCase() })),
  "counts commits with 8 bits": claimsAre(({ version }) => ({ version: version & 0xff })),
  "keeps replies for no time": () => ({ retentionMillis: 0 }),
  "keeps replies for nobody knows how long": () => ({ retentionMillis: NaN }),
  "has one rpc for all alarms": alarms(() => ({ tag: "Ring" })),
  "has alarms whose ids do not differ in case": alarms(
    ({ id }) => ({ id: id.toLowerCase() }),
    (id) => id.toLowerCase()
  ),
  "trims the ids of alarms": alarms(({ id }) => ({ id: id.trim() }), (id) => id.trim()),
  "counts three tries of an alarm": alarms(({ attempt }) => ({ attempt: Math.min(attempt, 3) })),
  "counts tries of alarms with 16 bits": alarms(({ attempt }) => ({ attempt: attempt & 0xffff })),
  "cuts what alarms carry": alarms(({ payload }) => ({ payload: payload?.slice(0, 1000) })),
  "has all firings of an alarm in one": alarms(({ id }) => ({ firing: id })),
  "sorts pages of alarms by the language, and goes on by the code": (store) => ({
    alarms: ({ after, contract, max }) =>
      Effect.map(store.alarms({ contract, after: undefined, max: 1e6 }), (all) =>
        [...all]
          .sort((one, two) => one.due - two.due || one.key.localeCompare(two.key))
          .filter(({ due, key }) => !after || due > after.due || due === after.due && key > after.key)
          .slice(0, max))
  }),
  "goes on behind a time, and not behind a key": (store) => ({
    alarms: ({ after, contract, max }) =>
      Effect.map(
        store.alarms({ contract, after: undefined, max: 1e6 }),
        (all) => all.filter(({ due }) => !after || due > after.due).slice(0, max)
      )
  }),
  "mixes the alarms of contracts that differ in case": (store) => ({
    alarms: (query) =>
      Effect.map(
        Effect.all([store.alarms(query), store.alarms({ ...query, contract: query.contract.toLowerCase() })]),
        ([mine, others]) => (query.contract === "Lab" ? [...mine, ...others] : mine).slice(0, query.max)
      )
  })
}

/** What is different about a store that is opened for the nth time, from 0. */
type Changes = (store: Store, opened: number) => Partial<Store>

/** The store in memory, changed, and still there when it is opened again. */
const layerOf = (changes: Changes) =>
  Effect.map(Layer.build(Layer.fresh(ActorStore.layerMemory)), (context) => {
    const store = Context.get(context, ActorStore.ActorStore)
    let opened = 0
    return Layer.sync(ActorStore.ActorStore, () => ({ ...store, ...changes(store, opened++) }))
  })

const again = (changes: Changes): Changes => (store, opened) => opened > 0 ? changes(store, opened) : {}

const reopened: Record<string, Changes> = {
  "loses states": again(claimsAre(() => ({ state: undefined }))),
  "loses alarms": again(claimsAre(() => ({ alarms: [] }))),
  "loses replies": again(() => ({ replies: () => Effect.succeed([]) })),
  "forgets how often an actor has ended": again(claimsAre(() => ({ incarnation: 0 }))),
  "begins again with the first epoch": again(claimsAre(({ epoch }) => ({ epoch: epoch % 3 }))),
  "lets an owner from before commit": (store, opened) => ({
    commit: (batch) =>
      Effect.map(store.commit(batch), (results) => results.map((result) => opened > 0 ? { _tag: "committed" } : result))
  })
}

const retentionMillis = 40

/** Keeps replies for so long. */
const forgetting = (afterMillis: number): Changes => (store) => {
  const times = new Map<number, number>()
  return {
    retentionMillis,
    commit: (batch) =>
      Effect.tap(
        Effect.zip(store.commit(batch), Clock.currentTimeMillis),
        ([, now]) => batch.forEach(({ version }) => times.set(version + 1, now))
      ).pipe(Effect.map(([results]) => results)),
    replies: (address) =>
      Effect.map(
        Effect.zip(store.replies(address), Clock.currentTimeMillis),
        ([segments, now]) => segments.filter(({ seq }) => now - times.get(seq)! <= afterMillis)
      )
  }
}

const right: Changes = () => ({})

/** The first law that a store does not keep to, with what it says. The last ones are about opening again, and retention. */
const found = (changes: Changes, subject: Partial<StoreLaws.Subject> = {}, from: "first" | "last" = "first") =>
  Effect.gen(function*() {
    const laws = StoreLaws.laws({ make: layerOf(changes), reopens: from === "last", ...subject })
    for (const { check, title } of from === "first" ? laws : [...laws].reverse()) {
      const exit = yield* Effect.exit(Effect.scoped(check))
      if (Exit.isFailure(exit)) return { title, message: Cause.pretty(exit.cause) }
    }
    return undefined
  })

describe("the laws of stores find one that", () => {
  for (const [what, changes] of Object.entries(broken)) {
    it.live(what, () => Effect.map(found(changes), assert.isDefined))
  }

  for (const [what, changes] of Object.entries(reopened)) {
    it.live(`${what}, when it is opened again`, () => Effect.map(found(changes, {}, "last"), assert.isDefined))
  }

  for (const [what, millis] of Object.entries({ "reads replies that have expired": Infinity, "reads none": 0 })) {
    it.live(`has a retention, and ${what}`, () =>
      Effect.map(
        found(right, { expiring: layerOf(forgetting(millis)) }, "last"),
        (found) => assert.match(found?.title ?? "", /^replies are kept/)
      ))
  }

  for (const operation of ["claim", "commit", "replies", "alarms"] as const) {
    it.live(`does not end ${operation}, and say so`, () =>
      Effect.map(
        found(() => ({ [operation]: () => Effect.never }), { patienceMillis: 50 }),
        (found) => assert.include(found?.message, `waited for: ${operation}`)
      ))
  }

  it.live("does not close, and say so", () =>
    Effect.gen(function*() {
      const closing = Layer.scopedDiscard(Effect.addFinalizer(() => Effect.never))
      const make = Effect.map(layerOf(right), (layer) => Layer.merge(layer, closing))
      assert.include((yield* found(right, { make, patienceMillis: 50 }))?.message, "waited for: the store to close")
    }))

  it.live("and none that is right, and takes its time", () =>
    Effect.gen(function*() {
      const slow: Changes = (store) => ({
        claim: (address) => Effect.zipRight(Effect.sleep("1 millis"), store.claim(address))
      })
      const expiring = layerOf(forgetting(retentionMillis))
      assert.isUndefined(yield* found(slow, { expiring, reopens: true }))
    }))
})
