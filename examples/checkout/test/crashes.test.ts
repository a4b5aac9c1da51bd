/** The shop as a process that is killed with SIGKILL, at each moment of a checkout that matters, and started again. */
import { assert, it } from "@effect/vitest"
import type { ActorClient } from "@troupe/client"
import { Effect, Either, Exit, Fiber, Scope } from "effect"
import { Cart, Declined } from "../src/contract.ts"
import * as ServerProcess from "../src/ServerProcess.ts"
import { charged, slowAfter, slowBefore } from "./support/SlowBank.ts"
import { eventually, folder, openBank, openBrowser } from "./support/World.ts"

/** A shop that can be started again and again, at one address. */
const openShop = Effect.gen(function*() {
  const bank = yield* openBank
  const filename = `${yield* folder}/shop.db`
  let port = "0"
  const start = (env: Record<string, string> = {}) =>
    Effect.tap(
      ServerProcess.start(
        { ...env, BANK: bank.url, PORT: port, TROUPE_DB: filename },
        "test/support/hanging-server.ts"
      ),
      (server) => Effect.sync(() => void (port = server.port))
    )
  const stockOf = (
    product: string,
    init?: RequestInit
  ): Effect.Effect<{ readonly free: number; readonly held: number }> =>
    Effect.promise(async () => (await fetch(`http://127.0.0.1:${port}/stock/${product}`, init)).json())
  return {
    bank,
    start,
    browser: Effect.suspend(() => openBrowser(`http://127.0.0.1:${port}`)),
    stock: (product: string) => stockOf(product),
    restock: (product: string, quantity: number) =>
      stockOf(product, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ quantity })
      })
  }
})

type Browser = typeof ActorClient.ActorClient.Service

/** One cart in two tabs; one of them is clicked twice. */
const checkOut = (browsers: readonly [Browser, Browser], key: string, card: string) =>
  Effect.gen(function*() {
    const [one, two] = yield* Effect.forEach(browsers, ({ connect }) => connect(Cart, key))
    yield* one!.rpc.Put({ product: "apple", quantity: 2 })
    return yield* Effect.forEach([one!, one!, two!], ({ rpc }) => Effect.fork(Effect.either(rpc.Checkout({ card }))))
  })

/** What all who have clicked are told, which is the same. */
const ordered = <A, E>(clicks: ReadonlyArray<Fiber.Fiber<Either.Either<A, E>>>) =>
  Effect.flatMap(Fiber.join(Fiber.all(clicks)), ([first, ...others]) => {
    for (const other of others) assert.deepStrictEqual(other, first)
    return first!
  })

it.scopedLive(
  "T3 C7 a server killed at any moment of a checkout, twice in a row, charges once and answers every click",
  () =>
    Effect.gen(function*() {
      const { bank, browser, restock, start, stock } = yield* openShop
      let server = yield* start({ HANG: "before", HANG_CART: "committing" })
      const browsers = [yield* browser, yield* browser] as const
      yield* restock("apple", 100)

      yield* bank.setSlow(true)
      const declinedCard = `empty, ${slowAfter}`
      const cards = [slowBefore, slowAfter, declinedCard]
      const reserved = yield* checkOut(browsers, "reserved", slowBefore)
      const charging = yield* checkOut(browsers, "charged", slowAfter)
      const declining = yield* checkOut(browsers, "declined", declinedCard)
      yield* bank.reached(cards)
      const committing = yield* checkOut(browsers, "committing", "visa")
      yield* server.said("hanging before the commit")
      yield* server.kill

      // the clients ask again, and every checkout comes to the same point
      server = yield* start({ HANG: "before", HANG_CART: "committing" })
      yield* bank.reached(cards)
      yield* server.said("hanging before the commit")
      yield* server.kill
      yield* bank.setSlow(false)

      server = yield* start({ HANG: "after", HANG_CART: "first" })
      const orders = yield* Effect.forEach([reserved, charging, committing], ordered)
      assert.instanceOf(yield* Effect.flip(ordered(declining)), Declined)
      const first = yield* checkOut(browsers, "first", "visa")
      yield* server.said("hanging after the commit")
      yield* server.kill

      server = yield* start({ HANG: "after", HANG_CART: "second" })
      orders.push(yield* ordered(first))
      const second = yield* checkOut(browsers, "second", "visa")
      yield* server.said("hanging after the commit")
      yield* server.kill

      yield* start()
      orders.push(yield* ordered(second))

      // each order was charged once, however often the bank was asked for it
      const entries = yield* bank.entries
      const numbers = orders.map(({ number }) => `${number}-0`).sort()
      assert.deepStrictEqual(charged(entries).map(({ key }) => key).sort(), numbers)
      for (const key of numbers) {
        assert.lengthOf(entries.filter((entry) => entry.key === key && !entry.repeated), 1)
      }
      const asked = ({ number }: { readonly number: string }) =>
        entries.filter(({ key, request }) => request === "charge" && key === `${number}-0`).length
      const [beforeCharge, afterCharge, ...later] = orders.map(asked)
      // the bank was asked and had charged, but nobody here knew: so it was asked again, by each life of the server
      assert.isAtLeast(afterCharge!, 3)
      assert.deepStrictEqual([beforeCharge, ...later], [1, 1, 1, 1])
      // and nothing is held but what was bought
      assert.deepStrictEqual(yield* stock("apple"), { free: 90, held: 10 })
    }),
  60_000
)

it.scopedLive(
  "T3 L3 after a crash another tab is charged no second time, and what nobody asks for again is given back",
  () =>
    Effect.gen(function*() {
      const { bank, browser, restock, start, stock } = yield* openShop
      let server = yield* start()
      const [one, two] = [yield* browser, yield* browser]
      yield* restock("apple", 10)

      for (const round of [1, 2]) {
        yield* bank.setSlow(true)
        const page = yield* Scope.make()
        const leaving = yield* browser.pipe(
          Effect.flatMap((visitor) => checkOut([visitor, visitor], `bob ${round}`, slowBefore)),
          Scope.extend(page)
        )
        const waiting = yield* checkOut([one, one], `ada ${round}`, slowAfter)
        yield* bank.reached([slowBefore, slowAfter])
        assert.strictEqual((yield* stock("apple")).held, 2 * round + 2)
        yield* server.kill
        yield* Scope.close(page, Exit.void)
        for (const end of yield* Fiber.join(Fiber.all(leaving))) assert.isTrue(Either.isLeft(end))
        yield* one.pause
        yield* bank.setSlow(false)

        // the reservations expire while nobody is there to let them
        server = yield* start({ MINUTES_LATER: String(11 * round) })
        const kept = 2 * (round - 1)
        yield* eventually(stock("apple"), ({ free, held }) => free === 10 - kept && held === kept)
        // the second tab goes on with what the first has begun, and the bank knows it
        const other = yield* two.connect(Cart, `ada ${round}`)
        const order = yield* other.rpc.Checkout({ card: "visa" })
        yield* one.resume
        assert.deepStrictEqual(yield* ordered(waiting), order)
        assert.deepStrictEqual(yield* stock("apple"), { free: 8 - kept, held: 2 + kept })
        assert.lengthOf(charged(yield* bank.entries), round)
      }
    }),
  60_000
)
