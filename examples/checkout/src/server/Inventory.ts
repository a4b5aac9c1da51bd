/** The stock of one product, which is the key. A reservation that nobody confirms gives back what it holds. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Actor } from "@troupe/contract"
import { Effect, HashMap, Option, Ref, Schema } from "effect"
import { OutOfStock, Quantity } from "../contract.ts"
import { Terms } from "./Terms.ts"

/** How many can be bought, and how many are kept for orders. */
export const Stock = Schema.Struct({ free: Schema.Int, held: Schema.Int })

const reservation = { reservation: Schema.String }

export class Inventory extends Actor.Tag<Inventory>()("Inventory", {
  internal: RpcGroup.make(
    Rpc.make("Restock", { payload: { quantity: Quantity }, success: Stock }),
    Rpc.make("Stock", { success: Stock }),
    /** Holds so many under this name, for some minutes. */
    Rpc.make("Reserve", { payload: { ...reservation, quantity: Quantity }, error: OutOfStock }),
    /** Holds them until they are shipped or released; takes them anew if the reservation has expired. */
    Rpc.make("Confirm", { payload: { ...reservation, quantity: Quantity }, error: OutOfStock }),
    Rpc.make("Release", { payload: reservation }),
    Rpc.make("Ship", { payload: reservation })
  )
}) {}

const State = Schema.Struct({
  free: Schema.Int,
  held: Schema.HashMap({ key: Schema.String, value: Schema.Int })
})

export const InventoryLive = Inventory.toLayer(
  { state: State, initialState: () => ({ free: 0, held: HashMap.empty() }) },
  (inventory) =>
    Effect.gen(function*() {
      const { reservedFor } = yield* Terms

      const stock = Effect.map(Ref.get(inventory.state), ({ free, held }) => ({
        free,
        held: HashMap.reduce(held, 0, (sum, quantity) => sum + quantity)
      }))

      /** What is held under this name already counts, so that holding twice is holding once. */
      const hold = Effect.fnUntraced(function*(reservation: string, quantity: number) {
        const { free, held } = yield* Ref.get(inventory.state)
        const available = free + Option.getOrElse(HashMap.get(held, reservation), () => 0)
        if (available < quantity) return yield* new OutOfStock({ product: inventory.key, left: available })
        yield* Ref.set(inventory.state, {
          free: available - quantity,
          held: HashMap.set(held, reservation, quantity)
        })
      })

      return inventory.behavior({
        internal: {
          Restock: ({ quantity }) =>
            Ref.update(inventory.state, ({ free, held }) => ({ free: free + quantity, held })).pipe(
              Effect.zipRight(stock)
            ),

          Stock: () => stock,

          Reserve: Effect.fnUntraced(function*({ quantity, reservation }) {
            yield* hold(reservation, quantity)
            yield* inventory.alarm(reservedFor, "Release", { reservation }, { id: reservation }).pipe(
              // more people than an actor may have alarms are at the checkout with it
              Effect.catchTag("AlarmsFull", () => new OutOfStock({ product: inventory.key, left: 0 }))
            )
          }),

          Confirm: ({ quantity, reservation }) =>
            Effect.zipRight(hold(reservation, quantity), inventory.cancelAlarm(reservation)),

          Release: Effect.fnUntraced(function*({ reservation }) {
            const { free, held } = yield* Ref.get(inventory.state)
            const quantity = Option.getOrElse(HashMap.get(held, reservation), () => 0)
            yield* Ref.set(inventory.state, { free: free + quantity, held: HashMap.remove(held, reservation) })
            yield* inventory.cancelAlarm(reservation)
          }),

          Ship: ({ reservation }) =>
            Ref.update(inventory.state, ({ free, held }) => ({ free, held: HashMap.remove(held, reservation) }))
        }
      })
    })
)
