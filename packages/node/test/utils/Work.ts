/**
 * Two actors for servers that are stopped in the middle of their work. Handlers say on the output of the process what they
 * have begun, so that a test knows, and go on when the process gets SIGUSR2.
 */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Actor } from "@troupe/contract"
import { Deferred, Effect, FiberId, Layer, Ref, Schema } from "effect"

const entry = { entry: Schema.String }

/** Writes down what other actors ask it to. */
export class Book extends Actor.Tag<Book>()("Book", {
  rpcs: RpcGroup.make(Rpc.make("Entries", { success: Schema.Array(Schema.String) })),
  internal: RpcGroup.make(Rpc.make("Enter", { payload: entry, success: Schema.Number }))
}) {}

/** Answers with the place of the entry in the list of what took effect. */
export class Work extends Actor.Tag<Work>()("Work", {
  rpcs: RpcGroup.make(
    Rpc.make("Append", { payload: entry, success: Schema.Number }),
    /** Goes on when the process is told to. */
    Rpc.make("Hold", { payload: entry, success: Schema.Number }),
    /** Never ends, and cannot be interrupted, in a process that is to be stuck. */
    Rpc.make("Stick", { payload: entry, success: Schema.Number }),
    /** Has the entry made by an alarm. */
    Rpc.make("Later", { payload: { ...entry, millis: Schema.Number } }),
    /** Has it made in the book of the same key, which takes its time, and then here. */
    Rpc.make("Both", { payload: entry, success: Schema.Number }),
    /** Has an alarm do that. */
    Rpc.make("BothLater", { payload: entry }),
    Rpc.make("Entries", { success: Schema.Array(Schema.String) })
  ),
  internal: RpcGroup.make(Rpc.make("Fire", { payload: entry }), Rpc.make("FireBoth", { payload: entry }))
}) {}

const options = { state: Schema.Array(Schema.String), initialState: (): ReadonlyArray<string> => [] }

const append = (state: Ref.Ref<ReadonlyArray<string>>, entry: string) =>
  Effect.map(Ref.updateAndGet(state, (entries) => [...entries, entry]), (entries) => entries.length)

const said = (what: string) => Effect.sync(() => console.log(what))

/** The implementations. With `stuck`, calls of `Stick` stick. */
export const layerWork = (stuck: boolean) =>
  Layer.suspend(() => {
    const goOn = Deferred.unsafeMake<void>(FiberId.none)
    process.once("SIGUSR2", () => Effect.runSync(Deferred.succeed(goOn, undefined)))
    const held = (what: string) => Effect.zipRight(said(what), Deferred.await(goOn))
    const layerBook = Book.toLayer(options, (book) =>
      Effect.succeed(book.behavior({
        rpcs: { Entries: () => Ref.get(book.state) },
        internal: { Enter: ({ entry }) => Effect.zipRight(held(`enters ${entry}`), append(book.state, entry)) }
      })))
    const layerWork = Work.toLayer(options, (work) =>
      Effect.gen(function*() {
        const books = yield* Book.client
        const both = (entry: string) =>
          Effect.zipRight(Effect.orDie(books.get(work.key).Enter({ entry })), append(work.state, entry))
        return work.behavior({
          rpcs: {
            Append: ({ entry }) => append(work.state, entry),
            Hold: ({ entry }) => Effect.zipRight(held(`holds ${entry}`), append(work.state, entry)),
            Stick: ({ entry }) =>
              stuck
                ? Rpc.uninterruptible(Effect.zipRight(said(`sticks ${entry}`), Effect.never))
                : append(work.state, entry),
            Later: ({ entry, millis }) => work.alarm(millis, "Fire", { entry }),
            Both: ({ entry }) => both(entry),
            BothLater: ({ entry }) => work.alarm(0, "FireBoth", { entry }),
            Entries: () => Ref.get(work.state)
          },
          internal: {
            Fire: ({ entry }) => Effect.zipRight(said(`fires ${entry}`), append(work.state, entry)),
            FireBoth: ({ entry }) => both(entry)
          }
        })
      }))
    return Layer.merge(layerBook, layerWork)
  })
