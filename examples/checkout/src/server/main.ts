/** Runs the server. The environment says where, and how long it waits for customers. */
import { HttpServer } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { SqliteStore } from "@troupe/node"
import { Config, Console, Effect, Layer } from "effect"
import { portOf } from "../port.ts"
import * as Server from "./Server.ts"
import { Terms } from "./Terms.ts"

const main = Effect.gen(function*() {
  const terms = yield* Terms
  const server = Server.layer({
    port: yield* portOf("PORT", 3000),
    bank: yield* Config.withDefault(Config.string("BANK"), "http://localhost:3001")
  }).pipe(
    Layer.provide(
      SqliteStore.layer({ filename: yield* Config.withDefault(Config.string("TROUPE_DB"), "checkout.db") })
    ),
    Layer.provide(Layer.succeed(Terms, {
      reservedFor: yield* Config.withDefault(Config.duration("RESERVED_FOR"), terms.reservedFor),
      keptFor: yield* Config.withDefault(Config.duration("KEPT_FOR"), terms.keptFor)
    }))
  )
  const listening = HttpServer.addressFormattedWith((address) => Console.log(`The shop is open: ${address}`))
  return yield* Layer.launch(Layer.provideMerge(Layer.effectDiscard(listening), server))
})

NodeRuntime.runMain(main)
