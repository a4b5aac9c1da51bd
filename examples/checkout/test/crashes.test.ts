/** The shop as a process that is killed with SIGKILL, at each moment of a checkout that matters, and started again. */
import { assert, it } from "@effect/vitest"
import type { ActorClient } from "@troupe/client"
import { Effect, Either, Exit, Fiber, Scope } from "effect"
import { Cart, Declined } from "../src/contract.ts"
import * as ServerProcess from "../src/ServerProcess.ts"
import { fileOf } from "./support/bundle.ts"
import { charged, slowAfter, slowBefore } from "./support/SlowBank.ts"
import { eventually, folder, openBank, openBrowser } from "./support/World.ts"

/** A shop that can be killed and started again at one address, with a hundred apples, and two browsers of customers. */
const openShop = Effect.fn("openShop")(function*(firstLife: Record<string, string>) {
  const bank = yield* openBank
  const filename = `${yield* folder}/shop.db`
  const serve = (port: string, env: Record<string, string> = {}) =>
    ServerProcess.start({ ...env, BANK: bank.url, PORT: port, TROUPE_DB: filename }, [fileOf("hanging-server")])
  let server = yield* serve("0", firstLife)
  const { port } = server
  const url = `http://127.0.0.1:${port}`
  const apples = (init?: RequestInit): Effect.Effect<{ readonly free: number; readonly held: number }> =>
    Effect.promise(async () => (await fetch(`${url}/stock/apple`, init)).json())
  yield* apples({ method: "POST", headers: { "content-type": "application/json" }, body: "{ \"quantity\": 100 }" })
  const browser = openBrowser(url)
  return {
    bank,
    browser,
    browsers: [yield* browser, yield* browser] as const,
    stock: apples(),
    said: (text: string) => Effect.suspend(() => server.said(text)),
    kill: Effect.suspend(() => server.kill),
    start: (env: Record<string, string>) =>
      Effect.map(serve(port, env), (started) => {
        server = started
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

type Shop = Effect.Effect.Success<ReturnType<typeof openShop>>

const hangingBefore = { HANG: "before", HANG_CART: "committing" }

/** Each cart is brought to its moment, and brought there again when the server is started after the first crash. */
const killedBeforeTheOrder = ({ bank, browsers, kill, said, start }: Shop) =>
  Effect.gen(function*() {
    const declinedCard = `empty, ${slowAfter}`
    const atTheirMoment = Effect.zipRight(
      bank.reached([slowBefore, slowAfter, declinedCard]),
      said("hanging before the commit")
    )
    yield* bank.setSlow(true)
    const reserved = yield* checkOut(browsers, "reserved", slowBefore)
    const charging = yield* checkOut(browsers, "charged", slowAfter)
    const declining = yield* checkOut(browsers, "declined", declinedCard)
    yield* bank.reached([slowBefore, slowAfter, declinedCard])
    const committing = yield* checkOut(browsers, "committing", "visa")
    yield* said("hanging before the commit")
    yield* kill

    yield* start(hangingBefore)
    yield* atTheirMoment
    yield* kill

    yield* bank.setSlow(false)
    yield* start({ HANG: "after", HANG_CART: "committed 1" })
    const orders = yield* Effect.forEach([reserved, charging, committing], ordered)
    assert.instanceOf(yield* Effect.flip(ordered(declining)), Declined)

    const asked = (yield* bank.entries).filter(({ request }) => request === "charge")
    const [beforeCharge, afterCharge, beforeCommit] = orders.map(({ number }) =>
      asked.filter(({ key }) => key === `${number}-0`).length
    )
    assert.strictEqual(beforeCharge, 1)
    // it had charged, but nobody in the shop knew: so it was asked again, by each life of the server
    assert.isAtLeast(afterCharge!, 3)
    // the payment knew
    assert.strictEqual(beforeCommit, 1)
    return orders
  })

/**
 * In each round an order is stored, and its answer is not sent. Bob leaves for good while the bank is asked; Ada is
 * offline when the server comes back, and somebody else checks out her cart.
 */
const killedAfterTheOrder = ({ bank, browser, browsers: [one, two], kill, said, start, stock }: Shop, held: number) =>
  Effect.forEach([1, 2], (round) =>
    Effect.gen(function*() {
      yield* bank.setSlow(true)
      const page = yield* Scope.make()
      const leaving = yield* browser.pipe(
        Effect.flatMap((visitor) => checkOut([visitor, visitor], `bob ${round}`, slowBefore)),
        Scope.extend(page)
      )
      const waiting = yield* checkOut([one, one], `ada ${round}`, slowAfter)
      yield* bank.reached([slowBefore, slowAfter])
      const before = held + 4 * (round - 1)
      assert.strictEqual((yield* stock).held, before + 4)
      const committed = yield* checkOut([two, two], `committed ${round}`, "visa")
      yield* said("hanging after the commit")
      yield* kill
      yield* Scope.close(page, Exit.void)
      for (const end of yield* Fiber.join(Fiber.all(leaving))) assert.isTrue(Either.isLeft(end))
      yield* one.pause
      yield* bank.setSlow(false)

      // the reservations of Ada and Bob expire while nobody is there to let them
      yield* start({ MINUTES_LATER: String(11 * round), HANG: "after", HANG_CART: `committed ${round + 1}` })
      yield* eventually(stock, (stock) => stock.held === before + 2)
      const order = yield* ordered(committed)
      // the other tab goes on with what Ada has begun, and the bank knows it
      const other = yield* two.connect(Cart, `ada ${round}`)
      const adas = yield* other.rpc.Checkout({ card: "visa" })
      yield* one.resume
      assert.deepStrictEqual(yield* ordered(waiting), adas)
      assert.strictEqual((yield* stock).held, before + 4)
      return [order, adas]
    }))

it.scopedLive(
  "T3 C7 L3 killed at any moment of a checkout, twice in a row: charged once, every click answered, nothing kept for nobody",
  () =>
    Effect.gen(function*() {
      const shop = yield* openShop(hangingBefore)
      const orders = yield* killedBeforeTheOrder(shop)
      orders.push(...(yield* killedAfterTheOrder(shop, 2 * orders.length)).flat())

      // seven carts of two apples have been bought, each charged once, however often the bank was asked for it
      assert.lengthOf(orders, 7)
      const keys = orders.map(({ number }) => `${number}-0`).sort()
      const entries = yield* shop.bank.entries
      assert.deepStrictEqual(charged(entries).map(({ key }) => key).sort(), keys)
      for (const key of keys) {
        assert.deepStrictEqual(
          entries.filter((entry) => entry.key === key && !entry.repeated).map(({ cents }) => cents),
          [60]
        )
      }
      assert.deepStrictEqual(yield* shop.stock, { free: 100 - 14, held: 14 })
    }),
  90_000
)
