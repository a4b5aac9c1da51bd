/** Stores that are wrong, each in one way: the laws of stores find them all. */
import { assert, describe, it } from "@effect/vitest"
import { ActorStore } from "@troupe/server"
import * as StoreLaws from "@troupe/testing/StoreLaws"
import { Context, Effect, Exit, Layer } from "effect"

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
  }
}

const layerOf = (changes: (store: Store) => Partial<Store>) =>
  Layer.map(ActorStore.layerMemory, (context) => {
    const store = Context.get(context, ActorStore.ActorStore)
    return Context.make(ActorStore.ActorStore, { ...store, ...changes(store) })
  })

const isFound = (changes: (store: Store) => Partial<Store>) =>
  Effect.exists(
    StoreLaws.laws({ make: Effect.succeed(layerOf(changes)), reopens: false }),
    ({ check }) => Effect.map(Effect.exit(Effect.scoped(check)), Exit.isFailure)
  )

describe("the laws of stores find one that", () => {
  for (const [what, changes] of Object.entries(broken)) {
    it.effect(what, () => Effect.map(isFound(changes), (found) => assert.isTrue(found)))
  }

  it.effect("and none that is right", () => Effect.map(isFound(() => ({})), (found) => assert.isFalse(found)))
})
