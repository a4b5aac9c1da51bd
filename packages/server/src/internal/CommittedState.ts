/** The state of an actor as it is committed, and those who follow it. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

type Follower = (state: unknown) => void

export class CommittedState {
  /** Most actors have none. */
  private followers: Set<Follower> | undefined

  constructor(private current: unknown) {}

  /** A commit has brought it. It may be the same. */
  set(state: unknown): void {
    if (state === this.current) return
    this.current = state
    if (this.followers) { for (const tell of this.followers) tell(state) }
  }

  /** What it is, and what it becomes. Who is slow misses states in between, never the last one. */
  get changes(): Stream.Stream<unknown> {
    return Stream.asyncPush<unknown>(
      (emit) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const follower: Follower = (state) => void emit.single(state)
            follower(this.current)
            this.followers ??= new Set()
            this.followers.add(follower)
            return follower
          }),
          (follower) => Effect.sync(() => this.followers?.delete(follower))
        ),
      { bufferSize: 1, strategy: "sliding" }
    )
  }
}
