/**
 * A store whose commits can be looked at, held back and made to fail. It is the `ActorStore` of a test, over the one in
 * memory or over any other.
 */
import * as Address from "@troupe/contract/Address"
import { ActorStore, type Commit, layerMemory } from "@troupe/server/ActorStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Commits, type Failure } from "./internal/Commits.ts"
import { Reads } from "./internal/Reads.ts"

export type { Failure } from "./internal/Commits.ts"

/** What a test sees of the store, and how it is steered. */
export class TestStore extends Context.Tag("@troupe/testing/TestStore")<TestStore, {
  /** All commits that have been asked for, in order, also those that wait or have failed. It grows. */
  readonly asked: ReadonlyArray<Commit>
  /** All commits that have been applied, in order. It grows. */
  readonly commits: ReadonlyArray<Commit>
  /**
   * The state of an actor as it was committed last through this store, decoded; none if it never was, or was destroyed
   * since. What a store below had before is not known here.
   */
  readonly lastState: <A, I>(
    schema: Schema.Schema<A, I>,
    actor: { readonly contract: string },
    key: string
  ) => Effect.Effect<Option.Option<A>>
  /** From now on commits wait. */
  readonly hold: Effect.Effect<void>
  /** Lets through what waits, and all that follows. */
  readonly release: Effect.Effect<void>
  /** Lets through what waits; what follows waits again. */
  readonly releaseOne: Effect.Effect<void>
  /** Waits until a commit waits in front of the store. */
  readonly waiting: Effect.Effect<void>
  /** The next commits fail, one after another, each in its way. */
  readonly fail: (...failures: ReadonlyArray<Failure>) => Effect.Effect<void>
  /** No commit fails any more. */
  readonly recover: Effect.Effect<void>
  /** So many of the next reads of an actor fail. */
  readonly failClaims: (times: number) => Effect.Effect<void>
  /** So many of the next looks for alarms fail. */
  readonly failAlarms: (times: number) => Effect.Effect<void>
  /** Runs after each look for alarms, before what was found is returned. */
  readonly onAlarms: (effect: Effect.Effect<void>) => Effect.Effect<void>
  /** The store below, which nothing happens to. */
  readonly store: ActorStore["Type"]
}>() {}

const make = (store: ActorStore["Type"]): Context.Context<TestStore | ActorStore> => {
  const commits = new Commits(store)
  const reads = new Reads(store)
  return Context.make(ActorStore, { ...store, claim: reads.claim, alarms: reads.alarms, commit: commits.commit }).pipe(
    Context.add(TestStore, {
      asked: commits.asked,
      commits: commits.applied,
      lastState: (schema, { contract }, key) =>
        Effect.suspend(() => {
          const text = commits.states.get(Address.idOf({ contract, key }))
          return text === undefined
            ? Effect.succeedNone
            : Effect.asSome(Effect.orDie(Schema.decode(Schema.parseJson(schema))(text)))
        }),
      ...commits.controls,
      ...reads.controls,
      store
    })
  )
}

/** Over the store that is provided. */
export const layerOver: Layer.Layer<TestStore | ActorStore, never, ActorStore> = Layer.effectContext(
  Effect.map(ActorStore, make)
)

/** Over a store in memory of its own. */
export const layer: Layer.Layer<TestStore | ActorStore> = Layer.provide(layerOver, Layer.fresh(layerMemory))
