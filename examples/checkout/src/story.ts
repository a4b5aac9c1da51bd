/** `npm start`: a checkout during which the server is killed, between the charge and everything that depends on it. */
import { FileSystem, HttpServer } from "@effect/platform"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { ActorClient } from "@troupe/client"
import { NodeWebSocketTransport } from "@troupe/node"
import { Config, Console, Context, Deferred, Effect, Fiber, Layer } from "effect"
import * as Bank from "./bank/Bank.ts"
import * as Ledger from "./bank/Ledger.ts"
import { Cart } from "./contract.ts"
import * as ServerProcess from "./ServerProcess.ts"

/** A bank whose first answer gets lost: it has charged, and nobody will ever hear of it. */
const openBank = Effect.gen(function*() {
  const charged = yield* Deferred.make<void>()
  const Forgetful = Layer.effect(
    Ledger.Ledger,
    Effect.map(Ledger.Ledger, (ledger) => ({
      ...ledger,
      charge: (key: string, payment: { readonly cents: number; readonly card: string }) =>
        Effect.tap(
          ledger.charge(key, payment),
          ({ repeated }) => repeated ? Effect.void : Effect.zipRight(Deferred.succeed(charged, undefined), Effect.never)
        )
    }))
  )
  const bank = yield* Layer.build(
    Bank.layer({ port: 0 }).pipe(Layer.provideMerge(Forgetful), Layer.provide(Ledger.layerMemory))
  )
  const { address } = Context.get(bank, HttpServer.HttpServer)
  return {
    url: `http://127.0.0.1:${address._tag === "TcpAddress" ? address.port : 0}`,
    charged: Deferred.await(charged),
    entries: Context.get(bank, Ledger.Ledger).entries
  }
})

const story = Effect.gen(function*() {
  const bank = yield* openBank
  const folder = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())
  const filename = yield* Config.withDefault(Config.string("TROUPE_DB"), `${folder}/checkout.db`)
  const start = (port: string) => ServerProcess.start({ PORT: port, TROUPE_DB: filename, BANK: bank.url })
  const server = yield* start("0")
  const url = `http://127.0.0.1:${server.port}`

  const warehouse = (init?: RequestInit) =>
    Effect.promise(async () => JSON.stringify(await (await fetch(`${url}/stock/apple`, init)).json()))
  yield* warehouse({ method: "POST", headers: { "content-type": "application/json" }, body: "{ \"quantity\": 5 }" })

  const transport = NodeWebSocketTransport.layer({ url: `${url}/actors` })
  const client = yield* Layer.build(Layer.provide(ActorClient.layer(), transport))
  const cart = yield* Effect.provide(ActorClient.connect(Cart, "ada"), client)
  yield* cart.rpc.Put({ product: "apple", quantity: 2 })
  yield* Console.log("Ada puts two apples into her cart, and checks out; she is impatient, and clicks twice")
  const clicks = yield* Effect.fork(
    Effect.all([cart.rpc.Checkout({ card: "visa" }), cart.rpc.Checkout({ card: "visa" })], { concurrency: "unbounded" })
  )

  yield* bank.charged
  yield* Console.log("the bank has charged her card, but its answer is still on the way")
  yield* Console.log(`  the stock: ${yield* warehouse()}`)
  yield* server.kill
  yield* Console.log("the server is killed; nobody there knows of the charge")
  yield* start(server.port)
  yield* Console.log("the server is started again; Ada's page asks for the answer to her clicks")

  const [first, second] = yield* Fiber.join(clicks)
  const entries = yield* bank.entries
  yield* Console.log(`both clicks are answered with one order: ${first.number === second.number}`)
  yield* Console.log(
    `the bank was asked ${entries.length} times, under one key, and has charged her ${
      entries.filter(({ repeated }) => !repeated).length
    } time`
  )
  yield* Console.log(`  the stock: ${yield* warehouse()}`)
})

NodeRuntime.runMain(story.pipe(Effect.scoped, Effect.provide(NodeContext.layer)))
