/**
 * The way of an activation's turns into the store. The actor does not wait for it: turns that end while a commit is on its
 * way are collected into the next one. What a turn sends leaves after its commit, and after those of all turns before it.
 */
import type { Address } from "@troupe/contract/Address"
import type { Durability } from "@troupe/contract/Behavior"
import * as Effect from "effect/Effect"
import type { Alarm, AlarmChange, Commit, CommitResult, RecordedReply } from "../ActorStore.ts"
import type { Services } from "./Services.ts"
import { only } from "./Session.ts"
import { type AlarmChanges, type Changes, isNothing, nothing } from "./Turn.ts"

/** A turn that has ended. */
export interface Ended {
  readonly changes: Changes
  /** The call's end, if it is to be recorded. */
  readonly reply: RecordedReply | undefined
  /** Called with the segment that holds the reply, if there is one: reply and events may leave now. */
  readonly release: (segment: number | undefined) => void
  /** Called instead if the turn will never be committed. */
  readonly abandon: () => void
}

/** What is on its way into the store. */
interface Asked {
  readonly batch: ReadonlyArray<Ended>
  /** How many answers it brings. */
  readonly answers: number
  readonly alarms: AlarmChanges | undefined
  readonly state: unknown
}

/** Whose turns are committed. */
export interface PipelineOwner {
  readonly address: Address
  readonly registration: { readonly durability: Durability }
  readonly services: Pick<Services, "submit" | "schedule">
  /** Of what the actor has answered, what is to be found after its end. */
  readonly outliving: () => Iterable<RecordedReply>
  /** The present state. */
  readonly state: { readonly current: unknown }
  /** The same as text. May throw. */
  readonly encodeState: () => string
  /** This state is committed; it may be the one before. */
  readonly onCommitted: (state: unknown) => void
  /** A segment with so many answers has been stored. None of them has left yet. */
  readonly onRecorded: (segment: number, answers: number) => void
  /** Alarms have been set for good; the earliest of them is due then. */
  readonly onAlarms: (due: number) => void
  /** Nothing will be committed any more. */
  readonly onLostCommit: (why: string) => void
  /** Everything is committed. */
  readonly onIdle: () => void
}

export class CommitPipeline {
  private waiting: Array<Ended> = []
  private inFlight: ReadonlyArray<Ended> | undefined
  private scheduled = false
  private lost = false
  private version: number
  private stored: boolean
  private settledSegments: Array<number> = []

  constructor(
    private readonly owner: PipelineOwner,
    private readonly epoch: number,
    version: number,
    /** Whether a state is stored already. If not, the first commit brings one. */
    stored: boolean
  ) {
    this.version = version
    this.stored = stored
  }

  /** Whether there is a state to be found by the next activation. */
  get keepsState(): boolean {
    return this.stored
  }

  /** Whether something has not been committed yet. */
  get busy(): boolean {
    return this.inFlight !== undefined || this.waiting.length > 0
  }

  push(ended: Ended): void {
    if (this.lost) return ended.abandon()
    if (this.owner.registration.durability === "memory") {
      this.stored ||= !isNothing(ended.changes)
      this.alarmsSet(ended.changes.alarms)
      this.owner.onCommitted(this.owner.state.current)
      return ended.release(undefined)
    }
    if (!this.busy && isNothing(ended.changes) && !ended.reply) return ended.release(undefined)
    this.waiting.push(ended)
    this.flushLater()
  }

  /** All replies of a segment have reached their clients: it is deleted with the next commit. */
  settleSegment(seq: number): void {
    this.settledSegments.push(seq)
  }

  /**
   * Waits until all that has ended so far is durable. If the activation is lost it never will be: who waits, or asks
   * later, is interrupted, also where nothing else interrupts.
   */
  get committed(): Effect.Effect<void> {
    return Effect.async((resume) =>
      this.push({
        changes: nothing,
        reply: undefined,
        release: () => resume(Effect.void),
        abandon: () => resume(Effect.interrupt)
      })
    )
  }

  /** Deletes what has been settled since the last commit, before the actor leaves memory. */
  finish(): void {
    if (this.settledSegments.length > 0 && !this.busy && !this.lost) this.commit([])
  }

  private flushLater(): void {
    if (this.scheduled || this.inFlight) return
    this.scheduled = true
    this.owner.services.schedule(() => {
      this.scheduled = false
      this.flush()
    })
  }

  private flush(): void {
    if (this.lost) return
    const batch = this.waiting
    this.waiting = []
    if (batch.some((ended) => !isNothing(ended.changes) || ended.reply)) return this.commit(batch)
    for (const ended of batch) ended.release(undefined)
    this.owner.onIdle()
  }

  private commit(all: ReadonlyArray<Ended>): void {
    const { address, registration: { durability }, services, state: { current } } = this.owner
    const destroy = all.some(({ changes }) => changes.destroys)
    const batch = destroy ? all.map(outlived) : all
    let state: string | undefined
    try {
      if (!destroy && (!this.stored || batch.some(({ changes }) => changes.state))) state = this.owner.encodeState()
    } catch (cause) {
      this.inFlight = batch
      return this.lose(`the state does not encode: ${cause instanceof Error ? cause.message : String(cause)}`)
    }
    this.inFlight = batch
    const settledSegments = this.settledSegments
    this.settledSegments = []
    const outliving = destroy ? Array.from(this.owner.outliving()) : []
    const replies = outliving.concat(batch.flatMap((ended) => ended.reply ?? []))
    const alarms = mergeAlarms(batch)
    const commit: Commit = {
      address,
      epoch: this.epoch,
      version: this.version,
      state,
      replies,
      settledSegments,
      ...(alarms && { alarms: toChanges(alarms) }),
      ...(destroy && { destroy }),
      fsync: durability === "fsync"
    }
    const asked = { batch, answers: replies.length, alarms, state: current }
    services.submit(commit, batch.length, (result) => this.onResult(asked, result))
  }

  private onResult({ alarms, answers, batch, state }: Asked, result: CommitResult): void {
    if (this.lost) return
    if (result._tag === "superseded") return this.lose("another activation owns the actor")
    if (result._tag === "failed") return this.lose(result.message)
    this.version++
    this.stored = true
    this.inFlight = undefined
    this.alarmsSet(alarms)
    const segment = this.version
    if (answers > 0) this.owner.onRecorded(segment, answers)
    this.owner.onCommitted(state)
    for (const ended of batch) ended.release(ended.reply ? segment : undefined)
    if (this.waiting.length > 0) this.flush()
    else this.owner.onIdle()
  }

  private alarmsSet(changes: AlarmChanges | undefined): void {
    let earliest = Number.POSITIVE_INFINITY
    changes?.forEach((alarm) => {
      earliest = Math.min(earliest, alarm?.due ?? Number.POSITIVE_INFINITY)
    })
    if (earliest < Number.POSITIVE_INFINITY) this.owner.onAlarms(earliest)
  }

  /** Commits nothing more, and abandons what is not committed. */
  lose(why: string): void {
    if (this.lost) return
    const abandoned = [...(this.inFlight ?? []), ...this.waiting]
    this.lost = true
    this.waiting = []
    this.inFlight = undefined
    this.owner.onLostCommit(why)
    for (const ended of abandoned) ended.abandon()
  }
}

/** A turn of an actor that ends: clients are told that it has ended, but another actor, which asks again, is answered. */
const outlived = (ended: Ended): Ended => ended.reply?.call === only ? ended : { ...ended, reply: undefined }

/** What the turns of a batch do to alarms altogether; undefined if nothing. */
const mergeAlarms = (batch: ReadonlyArray<Ended>): AlarmChanges | undefined => {
  let merged: Map<string, Alarm | undefined> | undefined
  for (const { changes } of batch) {
    changes.alarms?.forEach((alarm, id) => {
      merged ??= new Map()
      merged.set(id, alarm)
    })
  }
  return merged
}

const toChanges = (alarms: AlarmChanges): ReadonlyArray<AlarmChange> =>
  Array.from(alarms, ([id, alarm]) => ({ id, alarm }))
