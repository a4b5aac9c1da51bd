/** The shop in memory, where time is the tests' own. */
import { assert, it } from "@effect/vitest"
import { ActorClient, ConnectionStatus } from "@troupe/client"
import { TestHost, TestStore, TestTime } from "@troupe/testing"
import { Duration, Effect, Exit, Fiber, Option, Scope, Stream, TestClock } from "effect"
import {
  AlreadyOrdered,
  Cart,
  Declined,
  EmptyCart,
  OutOfStock,
  quantityMax,
  TryAgain,
  UnknownProduct
} from "../src/contract.ts"
import { Terms } from "../src/server/Terms.ts"
import { lostAnswer } from "./support/provider.ts"
import { charges, fill, layer, restock, stock } from "./support/Shop.ts"
import { slowAfter, SlowBank, slowBefore } from "./support/SlowBank.ts"

it.scoped("what is in a cart is bought, once, and that is its end", () =>
  Effect.gen(function*() {
    yield* restock("apple", 5)
    const cart = yield* fill("ada", ["apple", "pear", "apple", "apple"])
    assert.instanceOf(yield* Effect.flip(cart.rpc.Put({ product: "unicorn" })), UnknownProduct)
    assert.deepStrictEqual(yield* cart.rpc.Remove({ product: "pear" }), {
      lines: [{ product: "apple", quantity: 3 }],
      cents: 90
    })
    const order = yield* cart.rpc.Checkout({ card: "visa" })
    assert.strictEqual(order.cents, 90)
    assert.deepStrictEqual((yield* cart.rpc.Contents()).order, order)
    assert.instanceOf(yield* Effect.flip(cart.rpc.Put({ product: "apple" })), AlreadyOrdered)
    assert.deepStrictEqual(yield* stock("apple"), { free: 2, held: 3 })
    assert.deepStrictEqual(yield* charges, [90])
  }).pipe(Effect.provide(layer)))

it.scoped("a cart takes so many of one product, and not more", () =>
  Effect.gen(function*() {
    const cart = yield* fill("ada", ["apple"])
    for (const _ of [1, 2]) {
      const { lines } = yield* cart.rpc.Put({ product: "apple", quantity: quantityMax })
      assert.deepStrictEqual(lines, [{ product: "apple", quantity: quantityMax }])
    }
  }).pipe(Effect.provide(layer)))

it.scoped("nothing cannot be bought", () =>
  Effect.gen(function*() {
    const cart = yield* fill("ada", [])
    assert.instanceOf(yield* Effect.flip(cart.rpc.Checkout({ card: "visa" })), EmptyCart)
    assert.deepStrictEqual(yield* charges, [])
  }).pipe(Effect.provide(layer)))

it.scoped("a double click charges once, from one session and from two", () =>
  Effect.gen(function*() {
    yield* restock("apple", 5)
    const one = yield* fill("ada", ["apple"])
    const two = yield* ActorClient.connect(Cart, "ada")
    const orders = yield* Effect.forEach(
      [one, one, two, two],
      (cart) => cart.rpc.Checkout({ card: "visa" }),
      { concurrency: "unbounded" }
    )
    assert.lengthOf(new Set(orders.map(({ receipt }) => receipt)), 1)
    assert.deepStrictEqual(yield* charges, [30])
    assert.deepStrictEqual(yield* stock("apple"), { free: 4, held: 1 })
  }).pipe(Effect.provide(layer)))

it.scoped("T1 a declined card leaves the cart as it was and gives back what was reserved; another card may be tried", () =>
  Effect.gen(function*() {
    yield* restock("apple", 5)
    yield* restock("pear", 5)
    const cart = yield* fill("ada", ["apple", "pear"])
    for (const _ of [1, 2]) {
      assert.instanceOf(yield* Effect.flip(cart.rpc.Checkout({ card: "empty" })), Declined)
      assert.deepStrictEqual(yield* stock("apple"), { free: 5, held: 0 })
      assert.deepStrictEqual(yield* stock("pear"), { free: 5, held: 0 })
      assert.strictEqual((yield* cart.rpc.Contents()).order, undefined)
    }
    assert.strictEqual((yield* cart.rpc.Checkout({ card: "visa" })).cents, 75)
    assert.deepStrictEqual(yield* charges, [75])
    assert.deepStrictEqual(yield* stock("apple"), { free: 4, held: 1 })
  }).pipe(Effect.provide(layer)))

it.scoped("what is reserved before something is out of stock is given back, and nothing is charged", () =>
  Effect.gen(function*() {
    yield* restock("apple", 5)
    yield* restock("pear", 1)
    const cart = yield* fill("ada", ["apple", "pear", "pear"])
    for (const _ of [1, 2]) {
      const error = yield* Effect.flip(cart.rpc.Checkout({ card: "visa" }))
      assert.deepStrictEqual(error, new OutOfStock({ product: "pear", left: 1 }))
      assert.deepStrictEqual(yield* stock("apple"), { free: 5, held: 0 })
    }
    assert.deepStrictEqual(yield* charges, [])
  }).pipe(Effect.provide(layer)))

it.scoped("after an outage of the bank, checking out again charges nothing twice", () =>
  Effect.gen(function*() {
    yield* restock("apple", 3)
    const cart = yield* fill("ada", ["apple"])
    assert.instanceOf(yield* Effect.flip(cart.rpc.Checkout({ card: lostAnswer })), TryAgain)
    assert.deepStrictEqual(yield* stock("apple"), { free: 2, held: 1 })
    assert.strictEqual((yield* cart.rpc.Checkout({ card: lostAnswer })).cents, 30)
    assert.deepStrictEqual(yield* charges, [30])
    assert.deepStrictEqual(yield* stock("apple"), { free: 2, held: 1 })
  }).pipe(Effect.provide(layer)))

/** A customer who closes the page while the bank takes its time. */
const leaveDuringCheckout = (key: string, card: string) =>
  Effect.gen(function*() {
    const bank = yield* SlowBank
    yield* bank.setSlow(true)
    const page = yield* Scope.make()
    const cart = yield* Scope.extend(fill(key, ["apple", "apple"]), page)
    const checkout = yield* Effect.fork(Effect.exit(cart.rpc.Checkout({ card })))
    yield* bank.reached([card])
    yield* Scope.close(page, Exit.void)
    assert.isTrue(Exit.isFailure(yield* Fiber.join(checkout)))
    yield* bank.setSlow(false)
  })

it.scoped("L3 a reservation that was not confirmed expires by an alarm, once", () =>
  Effect.gen(function*() {
    yield* restock("apple", 3)
    for (const key of ["ada", "bob"]) {
      yield* leaveDuringCheckout(key, slowBefore)
      assert.deepStrictEqual(yield* stock("apple"), { free: 1, held: 2 })
      yield* TestClock.adjust("9 minutes")
      assert.deepStrictEqual(yield* stock("apple"), { free: 1, held: 2 })
      yield* TestClock.adjust("61 seconds")
      assert.deepStrictEqual(yield* stock("apple"), { free: 3, held: 0 })
    }
    assert.deepStrictEqual(yield* charges, [])
  }).pipe(Effect.provide(layer)))

it.scoped("who left in the middle finishes what was begun, and is charged once", () =>
  Effect.gen(function*() {
    yield* restock("apple", 4)
    for (const key of ["ada", "bob"]) {
      yield* leaveDuringCheckout(key, slowAfter)
      // the reservation expires meanwhile
      yield* TestClock.adjust("11 minutes")
      const { free, held } = yield* stock("apple")
      const cart = yield* ActorClient.connect(Cart, key)
      assert.strictEqual((yield* cart.rpc.Checkout({ card: "visa" })).cents, 60)
      assert.deepStrictEqual(yield* stock("apple"), { free: free - 2, held: held + 2 })
    }
    assert.deepStrictEqual(yield* charges, [60, 60])
  }).pipe(Effect.provide(layer)))

it.scoped("who left in the middle, and comes back for goods that are gone, is paid back", () =>
  Effect.gen(function*() {
    yield* restock("apple", 3)
    yield* leaveDuringCheckout("ada", slowAfter)
    assert.deepStrictEqual(yield* charges, [60])
    yield* TestClock.adjust("11 minutes")
    yield* (yield* fill("bob", ["apple", "apple"])).rpc.Checkout({ card: "visa" })
    const cart = yield* ActorClient.connect(Cart, "ada")
    assert.instanceOf(yield* Effect.flip(cart.rpc.Checkout({ card: "visa" })), OutOfStock)
    assert.deepStrictEqual(yield* charges, [60])
    assert.deepStrictEqual(yield* stock("apple"), { free: 1, held: 2 })
  }).pipe(Effect.provide(layer)))

it.scoped("who fills the cart further after a lost charge is paid back, and asked again", () =>
  Effect.gen(function*() {
    yield* restock("apple", 3)
    yield* leaveDuringCheckout("ada", slowAfter)
    const cart = yield* fill("ada", ["apple"])
    assert.instanceOf(yield* Effect.flip(cart.rpc.Checkout({ card: "visa" })), Declined)
    assert.deepStrictEqual(yield* charges, [])
    assert.strictEqual((yield* cart.rpc.Checkout({ card: "visa" })).cents, 90)
    assert.deepStrictEqual(yield* charges, [90])
    assert.deepStrictEqual(yield* stock("apple"), { free: 0, held: 3 })
  }).pipe(Effect.provide(layer)))

it.scoped("who takes something out of the cart after a lost checkout leaves none of it reserved", () =>
  Effect.gen(function*() {
    yield* restock("apple", 3)
    yield* restock("pear", 3)
    const store = yield* TestStore.TestStore
    const host = yield* TestHost.TestHost
    const page = yield* Scope.make()
    const lost = yield* Scope.extend(fill("ada", ["apple", "pear"]), page)
    yield* Effect.fork(Effect.exit(lost.rpc.Checkout({ card: "visa" })))
    // killed when everything has been confirmed, and before the order is stored
    yield* store.hold
    while (!store.asked.at(-1)?.state?.includes("\"order\"")) {
      yield* store.waiting
      yield* store.releaseOne
      yield* TestTime.settle
    }
    yield* host.crash
    yield* Scope.close(page, Exit.void)
    yield* store.release
    yield* host.start
    assert.deepStrictEqual(yield* stock("apple"), { free: 2, held: 1 })

    const cart = yield* ActorClient.connect(Cart, "ada")
    yield* cart.rpc.Remove({ product: "apple" })
    assert.deepStrictEqual(yield* stock("apple"), { free: 3, held: 0 })
    assert.instanceOf(yield* Effect.flip(cart.rpc.Checkout({ card: "visa" })), Declined)
    assert.strictEqual((yield* cart.rpc.Checkout({ card: "visa" })).cents, 45)
    assert.deepStrictEqual(yield* charges, [45])
    assert.deepStrictEqual(yield* stock("apple"), { free: 3, held: 0 })
    assert.deepStrictEqual(yield* stock("pear"), { free: 2, held: 1 })
  }).pipe(Effect.provide(layer)))

it.scoped("L3 L4 an abandoned cart is closed by an alarm, and what a lost checkout has charged is paid back", () =>
  Effect.gen(function*() {
    yield* restock("apple", 3)
    for (const _ of [1, 2]) {
      yield* leaveDuringCheckout("ada", slowAfter)
      assert.deepStrictEqual(yield* charges, [60])
      yield* TestClock.adjust("25 hours")
      assert.deepStrictEqual(yield* charges, [60]) // only a reminder so far
      yield* TestClock.adjust("24 hours")
      assert.deepStrictEqual(yield* stock("apple"), { free: 3, held: 0 })
      assert.deepStrictEqual(yield* charges, [])
      const page = yield* Scope.make()
      const cart = yield* Scope.extend(ActorClient.connect(Cart, "ada"), page)
      assert.deepStrictEqual(yield* cart.rpc.Contents(), { lines: [], cents: 0 })
      yield* Scope.close(page, Exit.void)
    }
  }).pipe(Effect.provide(layer)))

it.scoped("L4 a cart that was paid for is closed when its goods are shipped, and the next order has another number", () =>
  Effect.gen(function*() {
    yield* restock("apple", 3)
    const numbers = new Set<string>()
    for (const free of [2, 1]) {
      const cart = yield* fill("ada", ["apple"])
      numbers.add((yield* cart.rpc.Checkout({ card: "visa" })).number)
      assert.deepStrictEqual(yield* stock("apple"), { free, held: 1 })
      yield* TestClock.adjust("10 seconds")
      const closed = yield* Stream.runHead(Stream.filter(cart.status.changes, ConnectionStatus.is("Closed")))
      assert.deepStrictEqual(Option.map(closed, ({ reason }) => reason._tag), Option.some("Destroyed" as const))
      assert.deepStrictEqual(yield* stock("apple"), { free, held: 0 })
    }
    assert.strictEqual(numbers.size, 2)
    assert.deepStrictEqual(yield* charges, [30, 30])
  }).pipe(
    Effect.provide(layer),
    Effect.provideService(Terms, { reservedFor: Duration.seconds(5), keptFor: Duration.seconds(10) })
  ))
