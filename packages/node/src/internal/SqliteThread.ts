/**
 * The thread of a SQLite store, as the event loop sees it: what is asked in one tick goes over in one message, and nothing
 * that was asked hangs when the thread ends.
 */
import { Flush } from "@troupe/contract/Flush"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Worker } from "node:worker_threads"
import type { Answer, Batch, Opening, Operations, Refusal, Request, WorkerOptions } from "./SqliteProtocol.ts"

/** A thread that has opened its file. */
export class SqliteThread {
  private readonly waiting = new Map<number, (answer: Answer) => void>()
  private outbox: Array<Request> = []
  private lastId = 0
  private refusal: Refusal | undefined
  private ended: string | undefined
  private readonly exited: Promise<void>

  constructor(
    readonly worker: Worker,
    private readonly closing: Int32Array,
    private readonly clock: Clock.Clock,
    private readonly schedule: (task: () => void) => void,
    onOpening: (refusal: Refusal | undefined) => void
  ) {
    worker.once("message", ({ refusal }: Opening) => {
      this.refusal = refusal
      if (refusal) return
      worker.on("message", this.onAnswers)
      onOpening(undefined)
    })
    worker.on("error", (error) => this.end(`its thread has failed: ${error.message}`))
    this.exited = new Promise((resolve) =>
      worker.on("exit", (code) => {
        this.end(`its thread has ended with code ${code}`)
        // only now is the file closed in every respect
        onOpening(this.refusal ?? { kind: "Failed", reason: `${this.ended}` })
        resolve()
      })
    )
  }

  /** Asks, and waits for the answer. Interrupting it gives up the answer, not what was asked. */
  ask<Name extends keyof Operations>(
    operation: Name,
    argument: Parameters<Operations[Name]>[0]
  ): Effect.Effect<ReturnType<Operations[Name]>, string> {
    return Effect.async((resume) => {
      if (this.ended !== undefined) return resume(Effect.fail(this.ended))
      const id = ++this.lastId
      this.waiting.set(
        id,
        (answer) => resume("error" in answer ? Effect.fail(answer.error) : Effect.succeed(answer.value as never))
      )
      if (this.outbox.length === 0) this.schedule(this.post)
      this.outbox.push({ id, operation, argument } as Request)
    })
  }

  /**
   * Waits until all that was asked is done, or has failed once, the file is closed and the thread has ended, by itself: to end
   * it could meet an error of SQLite on its way, and that would end the process.
   */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    Atomics.store(this.closing, 0, 1)
    Atomics.notify(this.closing, 0)
    const closing = this.ask("close", undefined)
    return Effect.zipRight(Effect.ignore(closing), Effect.promise(() => this.exited))
  })

  private readonly post = (): void => {
    const batch: Batch = { nowMillis: this.clock.unsafeCurrentTimeMillis(), requests: this.outbox }
    this.outbox = []
    this.worker.postMessage(batch)
  }

  private readonly onAnswers = (answers: ReadonlyArray<Answer>): void => {
    for (const answer of answers) {
      const settle = this.waiting.get(answer.id)
      this.waiting.delete(answer.id)
      settle?.(answer)
    }
  }

  private end(why: string): void {
    this.ended ??= why
    for (const [id, settle] of this.waiting) settle({ id, error: this.ended })
    this.waiting.clear()
  }
}

const start = (
  options: Omit<WorkerOptions, "closing">,
  clock: Clock.Clock,
  schedule: (task: () => void) => void
): Effect.Effect<SqliteThread, Refusal> =>
  Effect.async((resume) => {
    const closing = new Int32Array(new SharedArrayBuffer(4))
    const workerData: WorkerOptions = { ...options, closing }
    // without the parent's flags: a loader of TypeScript, for example, is of no use in there
    const worker = new Worker(new URL("./sqlite-worker.mjs", import.meta.url), { workerData, execArgv: [] })
    const thread = new SqliteThread(worker, closing, clock, schedule, (refusal) =>
      resume(refusal ? Effect.fail(refusal) : Effect.succeed(thread)))
  })

/** Opens a file in a thread of its own, until the scope closes. */
export const open = (
  options: Omit<WorkerOptions, "closing">
): Effect.Effect<SqliteThread, Refusal, Scope.Scope> =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    const { schedule } = yield* Flush
    return yield* Effect.acquireRelease(start(options, clock, schedule), (thread) => thread.close)
  })
