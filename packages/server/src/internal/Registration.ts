/** An implementation in a host: what all its activations share. */
import type { Implementation } from "@troupe/contract/ActorHost"
import type { Durability } from "@troupe/contract/Behavior"
import type { Expiry } from "@troupe/contract/Expiry"
import * as Bytes from "@troupe/contract/protocol/Bytes"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as Json from "@troupe/contract/protocol/Json"
import type * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import type * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import type { Alarm } from "../ActorStore.ts"
import type { AlarmClock } from "./AlarmClock.ts"
import type { Farewells } from "./Farewells.ts"
import type { Limits } from "./Limits.ts"
import { Meters } from "./Meters.ts"
import * as Observed from "./Observed.ts"
import type { RecordedReplies } from "./Recorded.ts"
import { Remains } from "./Remains.ts"

/** What a memory actor leaves behind when it goes to sleep. */
export interface Parked {
  /** What its activations have been called, if a client knows. */
  readonly name: string | undefined
  readonly state: unknown
  readonly recorded: RecordedReplies
  readonly alarms: ReadonlyArray<Alarm>
}

export interface Registration {
  readonly contract: string
  readonly durability: Durability
  readonly initialState: (key: string) => unknown
  readonly build: Implementation["build"]
  /** The services and settings of the layer it was made in. */
  readonly runtime: Runtime.Runtime<never>
  /** A state as text. Throws if it does not encode, could not be read again, or is too large. */
  readonly encodeState: (state: unknown) => string
  readonly codecs: {
    readonly contract: Codec.ContractCodec
    readonly state: Codec.Codec
    readonly connection: (value: unknown) => Either.Either<unknown, ParseResult.ParseIssue>
  }
  readonly meters: Meters
  readonly observers: Observed.Observers
  /** Activations that have nothing to do. */
  readonly idle: Expiry
  readonly alarmClock: AlarmClock
  readonly farewells: Farewells
  /** What is remembered of memory actors that have been destroyed. */
  readonly remains: Remains
  /** Memory actors that sleep, by key. */
  readonly parked: Map<string, Parked>
  /** The keys of actors that were lost because their state did not encode. */
  readonly careful: Set<string>
}

export const make = (
  { contract, options, build }: Implementation,
  { stateBytesMax }: Limits,
  runtime: Runtime.Runtime<never>,
  idle: Expiry,
  alarmClock: AlarmClock,
  farewells: Farewells
): Registration => {
  const meters = new Meters(contract.contract)
  const state = Codec.make(options.state, `the state of ${contract.contract}`, "alone")
  return {
    contract: contract.contract,
    durability: options.durability ?? "commit",
    initialState: options.initialState,
    build,
    runtime,
    encodeState: (value) => {
      const text = Json.encode(Codec.encodeOrThrow(state, value), state.what)
      if (!Bytes.exceed(text, stateBytesMax)) return text
      throw new Error(`${state.what} is larger than stateBytesMax, ${stateBytesMax}`)
    },
    codecs: {
      contract: Codec.ofContract(contract),
      state,
      connection: ParseResult.validateEither(options.connection ?? Schema.Void) as Registration["codecs"]["connection"]
    },
    meters,
    observers: Observed.make(meters, runtime),
    idle,
    alarmClock,
    farewells,
    remains: new Remains(),
    parked: new Map(),
    careful: new Set()
  }
}
