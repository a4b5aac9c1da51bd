/** A store in memory whose commits can be held back and made to fail. */
import { ActorStore } from "@troupe/server"
import { Context, Effect, Layer } from "effect"

/**
 * How the next commit fails. `before`: nothing was applied. `after`: it was applied, but the answer was lost. `failed` and
 * `superseded` are answers for each actor of the batch; nothing was applied.
 */
export type Failure = "before" | "after" | "failed" | "superseded"

export class StoreControl extends Context.Tag("test/StoreControl")<StoreControl, {
  /** From now on commits wait. */
  readonly hold: Effect.Effect<void>
  /** Lets through what waits, and all that follows. */
  readonly release: Effect.Effect<void>
  /** Lets through what waits; what follows waits again. */
  readonly releaseOne: Effect.Effect<void>
  /** Waits until a commit waits in front of the store. */
  readonly waiting: Effect.Effect<void>
  /** The next commits fail, one after another. */
  readonly fail: (...failures: ReadonlyArray<Failure>) => Effect.Effect<void>
  /** No commit fails any more. */
  readonly recover: Effect.Effect<void>
  /** So many of the next reads fail. */
  readonly failClaims: (times: number) => Effect.Effect<void>
  /** So many of the next looks for alarms fail. */
  readonly failAlarms: (times: number) => Effect.Effect<void>
  /** Runs after each look for alarms, before what was found is returned. */
  readonly onAlarms: (effect: Effect.Effect<void>) => Effect.Effect<void>
  /** All commits that have been asked for, in order. */
  readonly commits: ReadonlyArray<ActorStore.Commit>
  readonly store: typeof ActorStore.ActorStore.Service
}>() {
  static readonly layer: Layer.Layer<StoreControl | ActorStore.ActorStore> = Layer.scopedContext(
    Effect.gen(function*() {
      const store = Context.get(yield* Layer.build(Layer.fresh(ActorStore.layerMemory)), ActorStore.ActorStore)
      const commits: Array<ActorStore.Commit> = []
      const failures: Array<Failure> = []
      let held = false
      const blocked = new Set<() => void>()
      const arrivals = new Set<() => void>()
      const letGo = () => {
        for (const go of blocked) go()
        blocked.clear()
      }
      const wait = Effect.async<void>((resume) => {
        if (!held) return resume(Effect.void)
        blocked.add(() => resume(Effect.void))
        for (const arrival of arrivals) arrival()
        arrivals.clear()
      })
      const lost = new ActorStore.StoreError({ operation: "commit", message: "the disk is full" })
      const commit: typeof store.commit = (batch) =>
        Effect.gen(function*() {
          commits.push(...batch)
          yield* wait
          switch (failures.shift()) {
            case "before":
              return yield* lost
            case "after":
              return yield* Effect.zipRight(store.commit(batch), lost)
            case "failed":
              return batch.map((): ActorStore.CommitResult => ({ _tag: "failed", message: "refused" }))
            case "superseded":
              return batch.map((): ActorStore.CommitResult => ({ _tag: "superseded" }))
            default:
              return yield* store.commit(batch)
          }
        })
      let failingClaims = 0
      const claim: typeof store.claim = (address) =>
        Effect.suspend(() =>
          failingClaims-- > 0
            ? new ActorStore.StoreError({ operation: "claim", message: "the disk is gone" })
            : store.claim(address)
        )
      let failingAlarms = 0
      let afterAlarms: Effect.Effect<void> = Effect.void
      const alarms: typeof store.alarms = (query) =>
        Effect.suspend(() =>
          failingAlarms-- > 0
            ? new ActorStore.StoreError({ operation: "alarms", message: "the disk is gone" })
            : Effect.tap(store.alarms(query), () => afterAlarms)
        )
      return Context.make(ActorStore.ActorStore, { ...store, alarms, claim, commit }).pipe(Context.add(StoreControl, {
        hold: Effect.sync(() => void (held = true)),
        release: Effect.sync(() => {
          held = false
          letGo()
        }),
        releaseOne: Effect.sync(letGo),
        waiting: Effect.async<void>((resume) => {
          if (blocked.size > 0) return resume(Effect.void)
          arrivals.add(() => resume(Effect.void))
        }),
        fail: (...next) => Effect.sync(() => void failures.push(...next)),
        recover: Effect.sync(() => void (failures.length = 0)),
        failClaims: (times) => Effect.sync(() => void (failingClaims = times)),
        failAlarms: (times) => Effect.sync(() => void (failingAlarms = times)),
        onAlarms: (effect) => Effect.sync(() => void (afterAlarms = effect)),
        commits,
        store
      }))
    })
  )
}
