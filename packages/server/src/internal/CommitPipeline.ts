/**
 * The way of an activation's turns into the store. The actor does not wait for it: turns that end while a commit is on its
 * way are collected into the next one. What a turn sends leaves after its commit, and after those of all turns before it.
 */
import type { Address } from "@troupe/contract/Address"
import * as Effect from "effect/Effect"
import type { Commit, CommitResult, RecordedReply } from "../ActorStore.ts"

/** A turn that has ended. */
export interface Ended {
  readonly changesState: boolean
  /** The call's end, if it is to be recorded. */
  readonly reply: RecordedReply | undefined
  /** Called with the segment that holds the reply, if there is one: reply and events may leave now. */
  readonly release: (segment: number | undefined) => void
  /** Called instead if the turn will never be committed. */
  readonly abandon: () => void
}

export interface PipelineOptions {
  readonly address: Address
  readonly epoch: number
  readonly version: number
  readonly durability: "memory" | "commit" | "fsync"
  /** The present state as text. May throw. */
  readonly encodeState: () => string
  readonly submit: (commit: Commit, onResult: (result: CommitResult) => void) => void
  readonly schedule: (task: () => void) => void
  /** Nothing will be committed any more. */
  readonly onLost: (why: string) => void
  readonly onDrained: () => void
}

export class CommitPipeline {
  private waiting: Array<Ended> = []
  private inFlight: ReadonlyArray<Ended> | undefined
  private scheduled = false
  private lost = false
  private version: number
  private settledSegments: Array<number> = []
  private drainListeners: Array<() => void> = []

  constructor(private readonly options: PipelineOptions) {
    this.version = options.version
  }

  /** Whether something has not been committed yet. */
  get busy(): boolean {
    return this.inFlight !== undefined || this.waiting.length > 0
  }

  push(ended: Ended): void {
    if (this.lost) return ended.abandon()
    if (this.options.durability === "memory") return ended.release(undefined)
    if (!this.busy && !ended.changesState && !ended.reply) return ended.release(undefined)
    this.waiting.push(ended)
    this.flushLater()
  }

  /** All replies of a segment have reached their clients: it is deleted with the next commit. */
  settleSegment(seq: number): void {
    this.settledSegments.push(seq)
  }

  /** Waits until all that has ended so far is durable. Never returns if the activation is lost. */
  readonly committed: Effect.Effect<void> = Effect.async((resume) => {
    if (!this.busy) return resume(Effect.void)
    this.drainListeners.push(() => resume(Effect.void))
  })

  /** Deletes what has been settled since the last commit, before the actor leaves memory. */
  finish(): void {
    if (this.settledSegments.length > 0 && !this.busy && !this.lost) this.commit([])
  }

  private flushLater(): void {
    if (this.scheduled || this.inFlight) return
    this.scheduled = true
    this.options.schedule(() => {
      this.scheduled = false
      this.flush()
    })
  }

  private flush(): void {
    if (this.lost) return
    const batch = this.waiting
    this.waiting = []
    if (batch.some((ended) => ended.changesState || ended.reply)) return this.commit(batch)
    for (const ended of batch) ended.release(undefined)
    this.drained()
  }

  private commit(batch: ReadonlyArray<Ended>): void {
    const { address, epoch, durability } = this.options
    let state: string | undefined
    try {
      if (batch.some((ended) => ended.changesState) || this.version === 0) state = this.options.encodeState()
    } catch (cause) {
      this.inFlight = batch
      return this.lose(`the state does not encode: ${cause instanceof Error ? cause.message : String(cause)}`)
    }
    this.inFlight = batch
    const settledSegments = this.settledSegments
    this.settledSegments = []
    const replies = batch.flatMap((ended) => ended.reply ?? [])
    const commit: Commit = {
      address,
      epoch,
      version: this.version,
      state,
      replies,
      settledSegments,
      fsync: durability === "fsync"
    }
    this.options.submit(commit, (result) => this.onResult(batch, result))
  }

  private onResult(batch: ReadonlyArray<Ended>, result: CommitResult): void {
    if (this.lost) return
    if (result._tag === "superseded") return this.lose("another activation owns the actor")
    if (result._tag === "failed") return this.lose(result.message)
    this.version++
    this.inFlight = undefined
    for (const ended of batch) ended.release(ended.reply ? this.version : undefined)
    if (this.waiting.length > 0) this.flush()
    else this.drained()
  }

  private drained(): void {
    const listeners = this.drainListeners
    this.drainListeners = []
    for (const listener of listeners) listener()
    this.options.onDrained()
  }

  /** Commits nothing more, and abandons what is not committed. */
  lose(why: string): void {
    if (this.lost) return
    const abandoned = [...(this.inFlight ?? []), ...this.waiting]
    this.lost = true
    this.waiting = []
    this.inFlight = undefined
    this.options.onLost(why)
    for (const ended of abandoned) ended.abandon()
  }
}
