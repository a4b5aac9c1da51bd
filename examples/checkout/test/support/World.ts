/** The shop over real sockets and a real file: its bank, its server, and its customers. */
import { FileSystem, HttpServer } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { ActorClient } from "@troupe/client"
import { NodeWebSocketTransport, SqliteStore } from "@troupe/node"
import { Context, Effect, Layer, Schedule } from "effect"
import * as Bank from "../../src/bank/Bank.ts"
import * as Server from "../../src/server/Server.ts"
import * as SlowBank from "./SlowBank.ts"

/** A folder that is removed with the scope. */
export const folder = Effect.flatMap(
  FileSystem.FileSystem,
  (fs) => fs.makeTempDirectoryScoped({ prefix: "checkout-" })
).pipe(Effect.provide(NodeContext.layer))

const urlOf = (context: Context.Context<HttpServer.HttpServer>) => {
  const { address } = Context.get(context, HttpServer.HttpServer)
  return `http://127.0.0.1:${address._tag === "TcpAddress" ? address.port : 0}`
}

/** Opens a bank for the rest of the scope. It is no part of the shop, and outlives the shop's crashes. */
export const openBank = Effect.map(
  Layer.build(Layer.provideMerge(Bank.layer({ port: 0 }), SlowBank.layer)),
  (context) => ({ url: urlOf(context), ...Context.get(context, SlowBank.SlowBank) })
)

/** Serves the shop in this process for the rest of the scope, and returns where. */
export const serve = ({ bank, filename }: { readonly filename: string; readonly bank: string }) =>
  Effect.map(
    Layer.build(Layer.provide(Server.layer({ port: 0, bank }), SqliteStore.layer({ filename }))),
    urlOf
  )

/** A customer's browser: one link, which comes back soon after a loss. */
export const openBrowser = (url: string) =>
  Effect.map(
    Layer.build(
      Layer.provide(
        ActorClient.layer({ schedule: Schedule.spaced("50 millis") }),
        NodeWebSocketTransport.layer({ url: `${url}/actors` })
      )
    ),
    Context.get(ActorClient.ActorClient)
  )

/** Reads again and again until what is read fits. */
export const eventually = <A, E, R>(read: Effect.Effect<A, E, R>, fits: (value: A) => boolean) => {
  const again: Effect.Effect<A, E, R> = Effect.flatMap(
    read,
    (value) => fits(value) ? Effect.succeed(value) : Effect.delay(again, "10 millis")
  )
  return Effect.timeout(again, "20 seconds")
}
