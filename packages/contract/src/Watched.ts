/**
 * A value that can be watched, set synchronously from callbacks. `SubscriptionRef` needs a fiber for each change, and costs
 * 3 KB where nobody watches. For Troupe's own packages.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Subscribable from "effect/Subscribable"
import { SparseSet } from "./Sparse.ts"

/** How many values wait for one who watches slowly, unless it says otherwise. */
const waitingMax = 64

export class Watched<A> {
  private shown: Subscribable.Subscribable<A> | undefined
  private readonly listeners = new SparseSet<(value: A) => void>()

  constructor(private value: A) {}

  get current(): A {
    return this.value
  }

  set(value: A): void {
    this.value = value
    for (const listener of this.listeners) {
      // one of them may have set another, which all have been told by then
      if (this.value !== value) return
      listener(value)
    }
  }

  /** Tells the value, and each that follows. Returns what ends that. */
  listen(listener: (value: A) => void): () => void {
    // before it is told: what it does may set the next value
    this.listeners.add(listener)
    listener(this.value)
    return () => void this.listeners.delete(listener)
  }

  /** The value, and each that follows. One who watches slowly misses values in between, never the last one. */
  changes(bufferSize = waitingMax): Stream.Stream<A> {
    return Stream.asyncPush<A>(
      (emit) =>
        Effect.acquireRelease(
          Effect.sync(() => this.listen((value) => void emit.single(value))),
          (stop) => Effect.sync(stop)
        ),
      { bufferSize, strategy: "sliding" }
    )
  }

  /** The value as others see it. */
  get subscribable(): Subscribable.Subscribable<A> {
    return this.shown ??= Subscribable.make({ get: Effect.sync(() => this.value), changes: this.changes() })
  }
}
