/** Runs the payment provider as a program of its own. */
import { HttpServer } from "@effect/platform"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { portOf } from "../port.ts"
import * as Bank from "./Bank.ts"
import * as Ledger from "./Ledger.ts"

const main = Effect.gen(function*() {
  const port = yield* portOf("BANK_PORT", 3001)
  const filename = yield* Config.withDefault(Config.string("BANK_LEDGER"), "ledger.log")
  const listening = HttpServer.addressFormattedWith((address) => Console.log(`The bank is open: ${address}`))
  return yield* Layer.launch(
    Layer.provideMerge(Layer.effectDiscard(listening), Bank.layer({ port })).pipe(
      Layer.provide(Ledger.layer(filename)),
      Layer.provide(NodeContext.layer)
    )
  )
})

NodeRuntime.runMain(main)
