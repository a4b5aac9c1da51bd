/** Where an activation begins: at what was stored, at what it left in memory, or anew. */
import type { Address } from "@troupe/contract/Address"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Json from "@troupe/contract/protocol/Json"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Alarm, StoreError } from "../ActorStore.ts"
import * as Recorded from "./Recorded.ts"
import type { Registration } from "./Registration.ts"
import type { Services } from "./Services.ts"

/** What an activation starts from. */
export interface Start {
  readonly epoch: number
  readonly version: number
  /** What the activation is called, if it goes on with what another one of this name has kept in memory. */
  readonly name?: string | undefined
  readonly incarnation: number
  readonly state: unknown
  /** Whether the state is stored already; of a memory actor, whether it has left something. */
  readonly stored: boolean
  readonly alarms: Iterable<Alarm>
  /** Commit turn by turn: the last activation was lost because its state did not encode. */
  readonly careful: boolean
}

/** A start, and the answers that are known beside it. */
interface Found {
  readonly start: Start
  readonly recorded: Recorded.RecordedReplies
}

const decodeState = (registration: Registration, text: string): Effect.Effect<unknown> =>
  Effect.suspend(() => {
    const decoded = registration.codecs.state.decode(Json.decode(text, `the stored state of ${registration.contract}`))
    return Either.isRight(decoded)
      ? Effect.succeed(decoded.right)
      : Effect.dieMessage(
        `the stored state does not decode with the schema of ${registration.contract}: ${
          Codec.describeSafely(decoded.left)
        }. Nothing was changed; give the schema a way to read what older versions wrote`
      )
  })

const initialState = (registration: Registration, { key }: Address): Effect.Effect<unknown> =>
  Effect.sync(() => registration.initialState(key))

const inMemory = Effect.fnUntraced(function*(services: Services, registration: Registration, address: Address) {
  const parked = registration.parked.get(address.key)
  const state = parked ? parked.state : yield* initialState(registration, address)
  const epoch = yield* services.nextEpoch("memory")
  const { incarnation, recorded } = registration.remains.of(address.key)
  const alarms = parked?.alarms ?? []
  const start = {
    epoch,
    version: 0,
    name: parked?.name,
    incarnation,
    state,
    stored: parked !== undefined,
    alarms,
    careful: false
  }
  return { start, recorded: parked?.recorded ?? recorded }
})

const inStore = Effect.fnUntraced(function*(services: Services, registration: Registration, address: Address) {
  const { state: text, ...claim } = yield* services.store.claim(address)
  const stored = text !== undefined
  const state = stored ? yield* decodeState(registration, text) : yield* initialState(registration, address)
  // otherwise no commit of the actor could ever succeed
  if (!stored) yield* Effect.sync(() => registration.encodeState(state))
  const start = { ...claim, state, stored, careful: registration.careful.has(address.key) }
  return { start, recorded: Recorded.none() }
})

/** Finds where an actor is to begin, and makes it the owner. Dies if its state cannot be read or cannot be stored. */
export const of = (
  services: Services,
  registration: Registration,
  address: Address
): Effect.Effect<Found, StoreError> =>
  registration.durability === "memory"
    ? inMemory(services, registration, address)
    : inStore(services, registration, address)
