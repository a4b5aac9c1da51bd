/**
 * A store that is slow, fails, hangs, and says that it has failed when it has not. What is asked of it happens at a moment
 * of its own: who asks may be gone by then, and it may happen all the same.
 */
import * as Address from "@troupe/contract/Address"
import { type ActorStore, type Commit, type CommitResult, StoreError } from "@troupe/server/ActorStore"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Dice } from "./Dice.ts"
import type { Faults } from "./Faults.ts"
import type { Trace } from "./Trace.ts"
import type { VirtualTime } from "./VirtualTime.ts"

type Service = ActorStore["Type"]

export interface StoreOptions {
  readonly store: Service
  readonly time: VirtualTime
  readonly dice: Dice
  readonly trace: Trace
  readonly faults: () => Faults
  /** A commit has been applied. */
  readonly onCommit: (commit: Commit) => void
}

/** What the store says of itself when it fails on purpose. */
export const simulated = "simulated"

const hangMax = 120_000

/** How much later a transaction may come again. */
const repeatMax = 5000

/** How long replies are kept, in milliseconds. */
const retention = 60 * 60_000

export class SimulatedStore {
  /** When the replies of a segment were recorded. */
  private readonly recorded = new Map<string, number>()

  constructor(private readonly options: StoreOptions) {}

  get service(): Service {
    const { store } = this.options
    return {
      retentionMillis: retention,
      nextEpoch: this.read("epoch", store.nextEpoch),
      claim: (address) => this.read("claim", store.claim(address)),
      replies: (address) =>
        this.read(
          "replies",
          Effect.map(store.replies(address), (segments) => segments.filter(({ seq }) => this.isKept(address, seq)))
        ),
      alarms: (query) => this.read("alarms", store.alarms(query)),
      commit: (batch) => this.commit(batch)
    }
  }

  private delay(): number {
    const { dice, faults } = this.options
    const { storeHang, storeLatencyMax } = faults()
    return dice.happens(storeHang) ? dice.between(0, hangMax) : dice.between(0, storeLatencyMax)
  }

  private read<A>(
    operation: StoreError["operation"],
    effect: Effect.Effect<A, StoreError>
  ): Effect.Effect<A, StoreError> {
    return Effect.suspend(() => {
      const { dice, faults } = this.options
      const fails = dice.happens(faults().storeError)
      const answer = fails ? new StoreError({ operation, message: simulated }) : effect
      return this.happening(() => Effect.runSyncExit(answer))
    })
  }

  private commit(batch: ReadonlyArray<Commit>): Effect.Effect<ReadonlyArray<CommitResult>, StoreError> {
    return Effect.suspend(() => {
      const { dice, faults, trace } = this.options
      const { storeError, storeLoss, storeRepeat } = faults()
      const failure = new StoreError({ operation: "commit", message: simulated })
      if (dice.happens(storeError)) {
        return this.happening(() => {
          trace.add("store", "refused a transaction")
          return Exit.fail(failure)
        })
      }
      const lost = dice.happens(storeLoss)
      const repeats = dice.happens(storeRepeat)
      return this.happening(() => {
        const results = Effect.runSyncExit(this.options.store.commit(batch))
        batch.forEach((commit, i) =>
          this.note(commit, Exit.isSuccess(results) ? results.value[i]!._tag : "failed", lost)
        )
        if (repeats) this.repeatLater(batch)
        return lost ? Exit.fail(failure) : results
      })
    })
  }

  /** Replies that are older than the retention may have been deleted, and are. */
  private isKept(address: Address.Address, seq: number): boolean {
    const at = this.recorded.get(`${Address.idOf(address)} ${seq}`)
    return at !== undefined && this.options.time.now - at < retention
  }

  /** Nothing must come of it: the actors have gone on, or will not. */
  private repeatLater(batch: ReadonlyArray<Commit>): void {
    const { dice, store, time } = this.options
    time.after(dice.between(0, repeatMax), () => {
      const results = Effect.runSync(Effect.orDie(store.commit(batch)))
      batch.forEach((commit, i) => this.note(commit, results[i]!._tag, true))
    })
  }

  private note(commit: Commit, result: string, lost: boolean): void {
    const { onCommit, time, trace } = this.options
    const { address, epoch, replies, state, version } = commit
    const what = `${state?.length ?? "-"} state, ${replies.length} replies`
    trace.add(
      "store",
      `${Address.idOf(address)} ${epoch}.${version} ${what}: ${result}${lost ? ", not told" : ""}`
    )
    if (result !== "committed") return
    if (replies.length > 0) this.recorded.set(`${Address.idOf(address)} ${version + 1}`, time.now)
    onCommit(commit)
  }

  /** Happens after a while, and is answered after another. Who is gone by then may have been in time or not. */
  private happening<A, E>(perform: () => Exit.Exit<A, E>): Effect.Effect<A, E> {
    const { dice, time } = this.options
    return Effect.async((resume) => {
      let happened = false
      let cancel = time.after(this.delay(), () => {
        happened = true
        const exit = perform()
        cancel = time.after(this.delay() / 2, () => resume(exit))
      })
      return Effect.sync(() => {
        if (happened || dice.happens(0.5)) cancel()
      })
    })
  }
}
