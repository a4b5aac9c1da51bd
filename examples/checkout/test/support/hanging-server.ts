/**
 * The server with a store that hangs when the commit comes that stores the order of the cart `HANG_CART`: before it, or
 * after it, as `HANG` says. It tells so, and waits to be killed. Its clock is `MINUTES_LATER` ahead.
 */
import { HttpServer } from "@effect/platform"
import { SqliteStore } from "@troupe/node"
import { ActorStore } from "@troupe/server"
import { Clock, Console, Effect, Layer } from "effect"
import * as Server from "../../src/server/Server.ts"

const { BANK = "", HANG, HANG_CART, MINUTES_LATER = "0", PORT = "0", TROUPE_DB = "" } = process.env

const isTheOrder = ({ address, state }: ActorStore.Commit) =>
  address.contract === "Cart" && address.key === HANG_CART && state !== undefined && "order" in JSON.parse(state)

const hang = Effect.zipRight(Console.log(`hanging ${HANG} the commit`), Effect.never)

const HangingStore = Layer.effect(
  ActorStore.ActorStore,
  Effect.map(ActorStore.ActorStore, (store) => ({
    ...store,
    commit: (batch: ReadonlyArray<ActorStore.Commit>) => {
      if (!batch.some(isTheOrder)) return store.commit(batch)
      return HANG === "before" ? hang : Effect.zipRight(store.commit(batch), hang)
    }
  }))
)

const listening = HttpServer.addressFormattedWith((address) => Console.log(`The shop is open: ${address}`))

const server = Layer.effectDiscard(listening).pipe(
  Layer.provideMerge(Server.layer({ port: Number(PORT), bank: BANK })),
  Layer.provide(HangingStore),
  Layer.provide(SqliteStore.layer({ filename: TROUPE_DB }))
)

const now = () => Date.now() + Number(MINUTES_LATER) * 60_000
const clock = Object.assign(Clock.make(), { unsafeCurrentTimeMillis: now, currentTimeMillis: Effect.sync(now) })

Effect.runFork(Effect.withClock(Layer.launch(server), clock))
