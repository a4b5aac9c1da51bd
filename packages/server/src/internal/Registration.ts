/** An implementation in a host: what all its activations share. */
import type { Implementation } from "@troupe/contract/ActorHost"
import type { Address } from "@troupe/contract/Address"
import type { Durability } from "@troupe/contract/Behavior"
import type { Secrets } from "@troupe/contract/Secrets"
import * as Codec from "@troupe/contract/protocol/Codec"
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import type * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import type { ActorStore, Commit, CommitResult } from "../ActorStore.ts"
import type { Limits } from "../ActorHost.ts"
import type { Expiry } from "./Expiry.ts"
import type { LiveActivation } from "./LiveActivation.ts"
import type { ServerConnection } from "./ServerConnection.ts"

/** What a host provides to its activations. */
export interface Services {
  readonly options: Limits
  readonly clock: Clock.Clock
  readonly secrets: Secrets["Type"]
  readonly schedule: (task: () => void) => void
  readonly store: typeof ActorStore.Service
  readonly submit: (commit: Commit, onResult: (result: CommitResult) => void) => void
  /** Connections whose link is gone. */
  readonly resumeWindows: Expiry<ServerConnection>
  readonly nextEpoch: (durability: Durability) => Effect.Effect<number>
  /** The activation must not be used any more. `encoding`: because its state did not encode. */
  readonly onLost: (activation: LiveActivation, encoding: boolean) => void
}

export interface Registration {
  readonly contract: string
  readonly durability: Durability
  readonly initialState: (key: string) => unknown
  readonly build: Implementation["build"]
  /** The services and settings of the layer it was made in. */
  readonly runtime: Runtime.Runtime<never>
  readonly codecs: {
    readonly contract: Codec.ContractCodec
    readonly state: Codec.Codec
    readonly connection: (value: unknown) => Either.Either<unknown, ParseResult.ParseIssue>
  }
  /** Activations that have nothing to do. */
  readonly idle: Expiry<LiveActivation>
  /** What memory actors left behind when they went to sleep, by key. */
  readonly parked: Map<string, ReturnType<LiveActivation["park"]>>
  /** The keys of actors that were lost because their state did not encode. */
  readonly careful: Set<string>
}

export const make = (
  { contract, options, build }: Implementation,
  runtime: Runtime.Runtime<never>,
  idle: Expiry<LiveActivation>
): Registration => ({
  contract: contract.contract,
  durability: options.durability ?? "commit",
  initialState: options.initialState,
  build,
  runtime,
  codecs: {
    contract: Codec.ofContract(contract),
    state: Codec.make(options.state, `the state of ${contract.contract}`),
    connection: ParseResult.validateEither(options.connection ?? Schema.Void) as Registration["codecs"]["connection"]
  },
  idle,
  parked: new Map(),
  careful: new Set()
})

/** Names an actor in the host's tables. */
export const idOf = (address: Address): string => address.toString()
