/** The store alone: one commit of each actor is always on its way, and the commits are grouped as a host groups them. */
import * as Address from "@troupe/contract/Address"
import { Flush } from "@troupe/contract/Flush"
import * as SqliteStore from "@troupe/node/SqliteStore"
import { ActorStore, type Commit, type CommitResult } from "@troupe/server/ActorStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { GroupCommit } from "../../server/src/internal/GroupCommit.ts"
import { initialState } from "./chatState.ts"
import type { Durability, Load, Progress } from "./Load.ts"

/** One actor's commits, each of which sets the state, records replies, and deletes those of the one before. */
class Committer {
  private count = 0
  private stopped = false
  /** Whether a commit is on its way. */
  busy = false
  private readonly messages = JSON.stringify(initialState.messages)
  private readonly session: string

  constructor(
    private readonly address: Address.Address,
    private readonly epoch: number,
    private version: number,
    private readonly fsync: boolean,
    /** How many turns, each with its recorded reply, one commit holds. */
    private readonly turns: number,
    private readonly commits: GroupCommit,
    private readonly progress: Progress
  ) {
    this.session = address.key.padEnd(32, "0")
  }

  readonly next = (): void => {
    this.busy = true
    this.commits.submit(this.commit(), this.turns, this.onResult)
  }

  stop(): void {
    this.stopped = true
  }

  private readonly onResult = (result: CommitResult): void => {
    this.busy = false
    if (result._tag !== "committed") return void (this.progress.failure ??= result)
    this.version++
    this.progress.turns += this.turns
    if (!this.stopped) this.next()
  }

  private commit(): Commit {
    const replies = Array.from({ length: this.turns }, () => {
      const call = ++this.count
      return { session: this.session, call, exit: `{"_tag":"Success","value":${call}}` }
    })
    return {
      address: this.address,
      epoch: this.epoch,
      version: this.version,
      state: `{"count":${this.count},"messages":${this.messages}}`,
      replies,
      settledSegments: this.version > 0 ? [this.version] : [],
      fsync: this.fsync
    }
  }
}

export const storeLoad = (durability: Exclude<Durability, "memory">, actors: number, turns: number): Load => ({
  level: `store x ${turns}`,
  durability,
  actors,
  run: (filename, progress) =>
    Effect.gen(function*() {
      const context = yield* Layer.build(SqliteStore.layer({ filename }))
      const store = progress.count(Context.get(context, ActorStore))
      const { schedule } = yield* Flush
      const fork = (effect: Effect.Effect<void>) => void Effect.runFork(effect)
      const commits = new GroupCommit(store, fork, schedule, yield* Effect.clock)
      const committers = yield* Effect.forEach(Array.from({ length: actors }, (_, i) => `${i}`), (key) => {
        const address = Address.make("Bench", key)
        return Effect.map(
          store.claim(address),
          ({ epoch, version }) =>
            new Committer(address, epoch, version, durability === "fsync", turns, commits, progress)
        )
      }, { concurrency: "unbounded" })
      yield* Effect.addFinalizer(() =>
        Effect.zipRight(
          Effect.sync(() => committers.forEach((committer) => committer.stop())),
          Effect.repeat(Effect.sleep(1), { while: () => committers.some(({ busy }) => busy) })
        )
      )
      for (const committer of committers) committer.next()
    })
})
