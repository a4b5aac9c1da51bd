/** The agent and those who talk with it in one process, over a network in memory, on a store that outlives servers. */
import { ActorClient } from "@troupe/client"
import { ActorHost, ActorStore } from "@troupe/server"
import { MemoryTransport } from "@troupe/testing"
import { Context, type Duration, Effect, Exit, Fiber, Layer, Scope, Stream, TestClock } from "effect"
import { Conversation, type Message, Question } from "../../src/contract.ts"
import { ConversationLive } from "../../src/server/ConversationLive.ts"
import * as FakeModel from "../../src/server/FakeModel.ts"
import { Model } from "../../src/server/Model.ts"
import { watch } from "../../src/watch.ts"

/** What was asked of the model, and how much of that is still going on. */
export class Desk {
  /** With how much of an answer it was asked each time. */
  readonly prefixes: Array<number> = []
  working = 0
}

/** Tells the desk what a model does. */
const observed = (desk: Desk, model: Layer.Layer<Model>) =>
  Layer.map(model, (context) => {
    const { answer } = Context.get(context, Model)
    return Context.make(Model, {
      answer: (prompt) => {
        const begin = Effect.sync(() => {
          desk.prefixes.push(prompt.answer.length)
          desk.working++
        })
        return Stream.unwrapScoped(
          Effect.as(Effect.acquireRelease(begin, () => Effect.sync(() => desk.working--)), answer(prompt))
        )
      }
    })
  })

type Store = typeof ActorStore.ActorStore.Service

/** The store as one server sees it, until that is killed: then nothing is answered any more. */
const killable = (store: Store, commit: Duration.DurationInput) => {
  let dead = false
  const alive = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.suspend(() => dead ? Effect.never : Effect.tap(effect, () => dead ? Effect.never : Effect.void))
  const seen: Store = {
    ...store,
    nextEpoch: alive(store.nextEpoch),
    claim: (address) => alive(store.claim(address)),
    replies: (address) => alive(store.replies(address)),
    commit: (batch) => alive(Effect.delay(store.commit(batch), commit)),
    alarms: (query) => alive(store.alarms(query))
  }
  return { store: seen, kill: Effect.sync(() => void (dead = true)) }
}

export const make = Effect.fn("World.make")(function*(options: {
  readonly model?: Layer.Layer<Model>
  /** How long a commit takes. */
  readonly commit?: Duration.DurationInput
} = {}) {
  const desk = new Desk()
  const base = yield* Layer.build(Layer.mergeAll(ActorStore.layerMemory, MemoryTransport.layer))
  const network = Context.get(base, MemoryTransport.MemoryNetwork)

  const Server = (store: Store) =>
    MemoryTransport.layerServer({ actors: [Conversation], drainTimeout: "1 second" }).pipe(
      Layer.provideMerge(ConversationLive),
      Layer.provide(observed(desk, options.model ?? FakeModel.layer())),
      Layer.provide(ActorHost.layer()),
      Layer.provide(Layer.succeed(ActorStore.ActorStore, store)),
      Layer.provide(Layer.succeedContext(base))
    )

  /** Starts a server on the store: from now on, dials reach this one. */
  const serve = Effect.gen(function*() {
    const scope = yield* Scope.make()
    const { kill, store } = killable(Context.get(base, ActorStore.ActorStore), options.commit ?? 0)
    yield* Layer.buildWithScope(Layer.fresh(Server(store)), scope)
    return {
      /** Stops it in good order, which takes it the time that it waits for streams. */
      stop: Effect.flatMap(
        Effect.fork(Scope.close(scope, Exit.void)),
        (stopping) => Effect.zipRight(TestClock.adjust("2 seconds"), Fiber.join(stopping))
      ),
      /** It is gone from one moment to the next: what it still does reaches nobody and is not stored. */
      crash: Effect.zipRight(kill, network.cut)
    }
  })

  /** Somebody with a browser of their own, who leaves with the scope. */
  const enter = Effect.gen(function*() {
    const Client = Layer.provide(ActorClient.layer(), Layer.succeedContext(base))
    return yield* Effect.provide(ActorClient.connect(Conversation, "a"), yield* Layer.build(Layer.fresh(Client)))
  })

  return { desk, network, serve, enter }
})

export type Visitor = Effect.Effect.Success<Effect.Effect.Success<ReturnType<typeof make>>["enter"]>

interface ReaderOptions {
  readonly from?: number
  /** How long it thinks about each piece. */
  readonly pause?: Duration.DurationInput
}

/** Watches an answer from a position on, in a fiber: each piece has to begin where the one before has ended. */
export const reader = (visitor: Visitor, answer: number, { from = 0, pause = 0 }: ReaderOptions = {}) =>
  Effect.gen(function*() {
    const seen = { text: "", pieces: 0 }
    const fiber = yield* watch(visitor, answer, from).pipe(
      Stream.runForEach(({ at, text }) => {
        if (at !== from + seen.text.length)
          return Effect.dieMessage(`a piece at ${at} follows ${from + seen.text.length}`)
        seen.text += text
        seen.pieces++
        return Effect.sleep(pause)
      }),
      Effect.forkScoped
    )
    return { seen, ended: Effect.as(Fiber.join(fiber), seen), leave: Fiber.interrupt(fiber) }
  })

/** The whole answer to a question that is the first. */
export const firstAnswer = (text: string) => FakeModel.answerTo([Question.make({ id: 1, text })])

export const lastText = (messages: ReadonlyArray<Message>) => messages.at(-1)!.text

/** Lets time pass, in steps, until what is read fits. */
export const passUntil = <A, E, R>(read: Effect.Effect<A, E, R>, fits: (value: A) => boolean, steps = 2000) => {
  const again = (left: number): Effect.Effect<A, E, R> =>
    Effect.flatMap(read, (value) => {
      if (fits(value)) return Effect.succeed(value)
      if (left === 0) return Effect.dieMessage("it has not come to that")
      return Effect.zipRight(TestClock.adjust("50 millis"), again(left - 1))
    })
  return again(steps)
}
