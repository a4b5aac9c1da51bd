/**
 * A server that can crash: a gateway, a host and its implementations, as a process of its own inside the one of the test.
 * With a crash all that was in its memory is gone, but for variables of modules, and promises that have begun. The store,
 * the network, and the services that are given to it from outside stay. Its clients see their links close, and come back by
 * themselves when it is started again.
 */
import type { Any, Definition } from "@troupe/contract/Definition"
import type { Directory } from "@troupe/contract/Directory"
import type { Implementations } from "@troupe/server/ActorServer"
import type * as Gateway from "@troupe/server/Gateway"
import type * as HostOptions from "@troupe/server/HostOptions"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Directories from "./internal/Directories.ts"
import { Process } from "./internal/Process.ts"
import * as Server from "./internal/Server.ts"

/** A host, and how it begins and ends. A layer of this module starts it; its lives follow each other on one store. */
export class TestHost extends Context.Tag("@troupe/testing/TestHost")<TestHost, {
  /** Begins a new life: everything is built anew. A defect if it is running. */
  readonly start: Effect.Effect<void>
  /**
   * Ends it in good order: clients are asked to leave, calls in flight are waited for, releases run, everything is
   * committed. Waits for as long as that takes; where calls are in flight, time has to pass. Interrupting it is a crash.
   */
  readonly stop: Effect.Effect<void>
  /**
   * Ends it from one moment to the next, as `SIGKILL` does: no fiber of it goes on, no release runs, and nothing of it
   * reaches the store or the network any more, also not what waits in front of the store at that moment. Its links close.
   * It may be called from inside, in the middle of a handler.
   */
  readonly crash: Effect.Effect<void>
  readonly running: Effect.Effect<boolean>
  /**
   * The actors of a contract, for trusted code, through all lives. A call is a defect while the host is not running, and
   * when it crashes before it has answered.
   */
  readonly directory: <D extends Definition>(
    contract: { readonly contract: string; readonly definition: D }
  ) => Directory<D>
}>() {}

/** What a host is made of. */
export interface Options<Actors extends ReadonlyArray<Any>, E, R> {
  /** The contracts that clients can reach. Each must be among the implementations, or it does not compile. */
  readonly actors: Actors
  /**
   * The implementations, as they are given to a server: a process. It is built anew with each life. What it still needs
   * beside `ActorHost` is outside of the process, and stays when it crashes.
   */
  readonly implementations: Layer.Layer<Implementations<Actors>, E, R>
  /** The name that clients dial. Default: `MemoryTransport.defaultName`. */
  readonly name?: string
  readonly host?: HostOptions.Options
  readonly gateway?: Omit<Gateway.Options, "actors">
}

/** What a host needs from outside. */
export type Outside<R> = Server.Outside<R>

/** A host that is running. When the scope closes it stops, as far as it can without time passing. */
export const make = <const Actors extends ReadonlyArray<Any>, E, R>(
  options: Options<Actors, E, R>
): Effect.Effect<TestHost["Type"], E, Outside<R> | Scope.Scope> =>
  Effect.gen(function*() {
    const process = yield* Process.inTest(Server.build(options))
    yield* process.start
    return {
      start: Effect.orDie(process.start),
      stop: process.stop,
      crash: process.crash,
      running: Effect.sync(() => process.running),
      directory: (contract) => Directories.make(contract, process)
    }
  })

/** A host that is running, and the directories of its actors. */
export const layer = <const Actors extends ReadonlyArray<Any>, E, R>(
  options: Options<Actors, E, R>
): Layer.Layer<TestHost | Implementations<Actors>, E, Outside<R>> =>
  Layer.scopedContext(Effect.map(make(options), (host) =>
    options.actors.reduce(
      (context, contract) => Context.add(context, contract as Any & Context.Tag<any, any>, host.directory(contract)),
      Context.make(TestHost, host) as Context.Context<any>
    )))
