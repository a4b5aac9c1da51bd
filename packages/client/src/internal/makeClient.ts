/** Puts a client together: the supervisor of its link, and its connections. */
import * as Background from "@troupe/contract/Background"
import { isTraced } from "@troupe/contract/CallSpan"
import type { Any } from "@troupe/contract/Definition"
import { Flush } from "@troupe/contract/Flush"
import * as Codec from "@troupe/contract/protocol/Codec"
import { Secrets } from "@troupe/contract/Secrets"
import { Transport } from "@troupe/contract/Transport"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type * as Subscribable from "effect/Subscribable"
import type { ConnectOptions, Options } from "../ClientOptions.ts"
import type { Connection } from "../Connection.ts"
import type { ConnectionStatus } from "../ConnectionStatus.ts"
import { ClientConnection } from "./ClientConnection.ts"
import type { ClientServices } from "./ClientServices.ts"
import { LinkSupervisor } from "./LinkSupervisor.ts"
import { toPublic } from "./publicConnection.ts"

/** The client's service, with the types of contracts forgotten. */
interface Service {
  readonly connect: (
    contract: Any,
    key: string,
    options?: Partial<ConnectOptions<unknown, string, unknown, unknown>>
  ) => Effect.Effect<Connection<any>, unknown, any>
  readonly status: Subscribable.Subscribable<ConnectionStatus>
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
}

export const makeClient = Effect.fnUntraced(function*(
  options: Required<Options>
): Effect.fn.Return<Service, never, Transport | Scope.Scope> {
  const transport = yield* Transport
  const runtime = yield* Background.runtime
  const scope = yield* Effect.scope
  // they end after the client, so that nothing waits with it for what ends slowly
  const fork = yield* Background.fork
  const services: ClientServices = {
    clock: yield* Effect.clock,
    secrets: yield* Secrets,
    schedule: options.schedule,
    flush: (yield* Flush).schedule,
    fork,
    traced: yield* Effect.withFiberRuntime<boolean>((fiber) => Effect.succeed(isTraced(fiber))),
    runtime,
    bounds: options,
    eventBufferMax: options.eventBufferMax,
    stableAfterMillis: Duration.toMillis(options.stableAfter),
    onAnswered: () => supervisor.onAnswered()
  }
  const supervisor = new LinkSupervisor(services, transport, Duration.toMillis(options.dialTimeout))
  yield* transport.onOpportunity(() => supervisor.onOpportunity())
  yield* Scope.addFinalizer(scope, Effect.sync(() => supervisor.close()))

  const connect = Effect.fnUntraced(function*(
    contract: Any,
    key: string,
    { params, events = [] }: Partial<ConnectOptions<unknown, string, unknown, unknown>> = {}
  ) {
    // with its FiberRefs: they are evaluated in fibers of the client
    const caller = yield* Effect.runtime<any>()
    const target = {
      contract,
      key,
      events,
      params: Effect.isEffect(params)
        // with a scope of their own: the caller's is that of the connection
        ? Effect.provide(Effect.scoped(Effect.interruptible(params as Effect.Effect<unknown, unknown, any>)), caller)
        : Effect.succeed(params)
    }
    const connection = new ClientConnection(services, target, supervisor)
    yield* openIn(yield* Effect.scope, connection, () => supervisor.add(connection))
    return toPublic(connection, Codec.ofContract(contract))
  })

  return {
    connect,
    get status() {
      return supervisor.status.subscribable
    },
    pause: Effect.sync(() => supervisor.setPaused(true)),
    resume: Effect.sync(() => supervisor.setPaused(false))
  }
})

/** Opens a connection, which ends with the scope, before and after. One that cannot be opened leaves nothing there. */
const openIn = (scope: Scope.Scope, connection: ClientConnection, begin: () => void): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    // a scope that is kept would cost 600 bytes
    const opening = yield* Scope.fork(scope, ExecutionStrategy.sequential)
    let opened = false
    yield* Scope.addFinalizer(opening, Effect.suspend(() => opened ? Effect.void : connection.end))
    yield* Effect.onExit(connection.open(begin), (exit) => {
      opened = Exit.isSuccess(exit)
      const keep = opened ? Scope.addFinalizer(scope, connection.end) : Effect.void
      return Effect.zipRight(keep, Scope.close(opening, Exit.void))
    })
  })
