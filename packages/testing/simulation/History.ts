/**
 * What clients have called and been told, and what the store has been given; and whether the two fit. A log is the linear
 * order of the operations on it, so that checking is comparing positions.
 */
import { ConnectionError } from "@troupe/contract"
import type { ActorStore } from "@troupe/server"
import type { MemoryTransport } from "@troupe/testing"
import { Option, Schema } from "effect"
import { connectionOf, type Entry, Life, ringOf } from "./Log.ts"

/** What a client calls. */
export type ClientKind =
  | "Add"
  | "Refuse"
  | "AddIfOdd"
  | "Poison"
  | "Forward"
  | "AddOnce"
  | "AddAgain"
  | "AddLater"
  | "AddBeside"
  | "Length"
  | "Follow"
  | "Count"
  | "SetTimer"
  | "CancelTimer"
  | "Dismiss"
  | "End"

/** What is called, by a backend too. */
export type Kind = ClientKind | "Receive" | "ReceiveBeside"

/** One call of a client. Times are those of the simulation. */
export interface Operation {
  readonly client: string
  readonly log: string
  /** The other log, of `Forward` and `End`. */
  readonly to: string | undefined
  readonly kind: Kind
  readonly op: string
  /** In which order its client has made it. */
  readonly order: number
  readonly calledAt: number
  endedAt: number
  outcome: Outcome
}

export type Outcome =
  | { readonly _tag: "Running" }
  /** With where it stands, or how many there were. */
  | { readonly _tag: "Success"; readonly value: number | undefined }
  /** With the operation that the error names, if it names one. */
  | {
    readonly _tag: "Failure"
    readonly error: string
    readonly sent: "no" | "maybe" | undefined
    readonly of?: string | undefined
  }
  | { readonly _tag: "Interrupted" }

const isConnectionError = Schema.is(ConnectionError.ConnectionError)

/** Whether a failed call may have run, if it was its connection that failed it. */
export const sentOf = (error: unknown): "no" | "maybe" | undefined => isConnectionError(error) ? error.sent : undefined

/** In which order a client's calls take effect is promised for those that run in turns of their own. */
const isOrdered = (kind: Kind): boolean => kind !== "AddLater" && kind !== "AddBeside" && kind !== "ReceiveBeside"

const decodeState = Schema.decodeUnknownSync(Schema.parseJson(Life))

/** What has been recorded of `Finish`. */
const decodeFinish = Schema.decodeUnknownOption(
  Schema.parseJson(Schema.Struct({ _tag: Schema.Literal("Success"), value: Life }))
)

/** What has gone wrong on purpose, as far as it matters for what must hold. */
export interface Circumstances {
  readonly hosts: number
  readonly crashes: number
  /** Clients were disconnected by the actor, and some have heard it. */
  readonly dismissed: boolean
  /** Logs have ended, and begun anew. */
  readonly ended: boolean
  /** The actors have stayed in memory, with what they had begun. */
  readonly kept: boolean
  /** Only links were lost, and for less than the resume window: every connection must have been resumed. */
  readonly undisturbed: boolean
}

export class History {
  readonly problems: Array<string> = []
  readonly operations: Array<Operation> = []
  /** The lives of logs that have ended. */
  private readonly lives = new Map<string, ReadonlyArray<ReadonlyArray<string>>>()
  /** By the operation that ended a log, what was told of it. */
  private readonly finishes = new Map<string, string>()
  /** What has been committed last, by log, of all its lives. */
  private readonly committed = new Map<string, ReadonlyArray<string>>()
  private readonly epochs = new Map<string, number>()
  private readonly acquired = new Set<string>()
  private readonly entered = new Set<string>()
  private readonly released = new Set<string>()
  private readonly left = new Set<string>()
  /** The ids of connections whose clients were told that they stand. */
  private readonly opened = new Set<number>()
  private readonly comparisons: Array<() => void> = []
  private gaps = 0
  /** What was handed to a link. */
  private readonly sent = new Set<string>()

  constructor(
    private readonly now: () => number,
    /** Whether so much time may pass that the store does not keep answers for so long. */
    private readonly forgetful: boolean,
    /** Whether nothing is stored: what was told is compared with what there is in the end. */
    private readonly volatile: boolean
  ) {}

  /** Compares something with what has been committed: at once, or in the end, if nobody knows before. */
  private compare(check: () => void): void {
    if (this.volatile) this.comparisons.push(check)
    else check()
  }

  private problem(text: string): void {
    this.problems.push(text)
  }

  // --- what is recorded ----------------------------------------------------------------------------------------------

  readonly call = (call: Pick<Operation, "client" | "log" | "to" | "kind" | "op">): Operation => {
    const operation: Operation = {
      ...call,
      order: this.operations.length,
      calledAt: this.now(),
      endedAt: Infinity,
      outcome: { _tag: "Running" }
    }
    this.operations.push(operation)
    return operation
  }

  /** The caller has been told. What it was told must be in the store by now. */
  readonly end = (operation: Operation, outcome: Outcome): void => {
    operation.endedAt = this.now()
    operation.outcome = outcome
    const { kind, log, op, to } = operation
    if (outcome._tag === "Failure" && (outcome.of ?? op) !== op)
      this.problem(`${op} was answered with the failure of ${outcome.of}`)
    if (outcome._tag !== "Success") return
    this.compare(() => {
      if (adds.has(kind) && this.committed.get(log)?.[outcome.value!] !== op)
        this.problem(`${op} was answered with ${outcome.value}, and is not there`)
      const length = this.committed.get(log)?.length ?? 0
      if (kind === "Length" && outcome.value! > length)
        this.problem(`${log} has said ${outcome.value}, and has ${length}`)
      if (to !== undefined && !this.committed.get(to)?.includes(op)) this.problem(`${op} is not in ${to}`)
    })
  }

  /** Each state that is committed goes on from the one before. */
  readonly onCommit = ({ address: { key }, destroy, epoch, replies, state }: ActorStore.Commit): void => {
    if (epoch < (this.epochs.get(key) ?? 0)) this.problem(`${key}: epoch ${epoch} has committed after a later one`)
    this.epochs.set(key, epoch)
    if (destroy) this.onDestroyed(key, replies)
    else if (state !== undefined) this.onState(key, decodeState(state))
  }

  private onState(key: string, { base, ops }: typeof Life.Type): void {
    const past = this.past(key)
    if (base !== past.length) this.problem(`${key}: a life goes on from ${base}, and not from ${past.length}`)
    const all = [...past, ...ops]
    const before = this.committed.get(key) ?? []
    if (before.some((op, i) => all[i] !== op)) this.problem(`${key}: a commit has dropped what was committed before`)
    this.committed.set(key, all)
  }

  /** The answer to who has ended a log says what it has had in the end. */
  private onDestroyed(key: string, replies: ReadonlyArray<ActorStore.RecordedReply>): void {
    const base = this.past(key).length
    const life = replies.flatMap(({ exit }) => Option.toArray(decodeFinish(exit)))
      .map(({ value }) => value)
      .find((life) => life.base === base)
    if (!life) return this.problem(`${key} has ended, and nobody can be told what it has had`)
    this.onState(key, life)
    this.lives.set(key, [...this.lives.get(key) ?? [], life.ops])
  }

  /** What a log has had in the lives that have ended. */
  past(key: string): ReadonlyArray<string> {
    return (this.lives.get(key) ?? []).flat()
  }

  /**
   * An event that leaves must be in the store by then, a call that leaves must be waited for, and a connection that opens
   * must have been let in.
   */
  readonly onMessage = (sent: MemoryTransport.Sent): string | undefined => {
    // most are none of that
    if (!sent.text.includes("\"op\"") && !sent.text.includes("\"Opened\"")) return undefined
    for (const frame of sent.frames) {
      if (frame._tag === "Opened") this.onOpened(frame.connectionId)
      if (frame._tag !== "Message") continue
      const { payload } = frame
      const issue = payload._tag === "Request"
        ? this.onSent(payload.payload)
        : undefined
      if (payload._tag === "Event") this.onEvent(payload.payload)
      if (issue !== undefined) return issue
    }
    return undefined
  }

  private onEvent(added: unknown): void {
    const { index, log, op } = added as { readonly log: string; readonly op: string; readonly index: number }
    this.compare(() => {
      if (this.committed.get(log)?.[index] !== op) this.problem(`the event of ${op} has left before its commit`)
    })
  }

  private onOpened(id: number): void {
    this.opened.add(id)
    if (!hasId(this.entered, id)) this.problem(`connection ${id} has opened, and onConnect has not run`)
  }

  /** Whether an activation was to be lost because its state could not be stored. */
  get poisoned(): boolean {
    return this.operations.some(({ kind }) => kind === "Poison")
  }

  /** A call that nobody waits for any more is not sent. */
  private onSent(payload: unknown): string | undefined {
    const { op } = (payload ?? {}) as { readonly op?: string }
    if (op === undefined || this.sent.has(op)) return undefined
    this.sent.add(op)
    const operation = this.operations.find((operation) => operation.op === op)
    return operation && operation.outcome._tag !== "Running" ? `${op} was sent when it had ended already` : undefined
  }

  readonly watch = {
    acquired: (connection: string): void => {
      if (this.acquired.has(connection)) this.problem(`onConnect has run twice for ${connection}`)
      this.acquired.add(connection)
    },
    entered: (connection: string): void => {
      this.entered.add(connection)
    },
    released: (connection: string): void => {
      if (this.released.has(connection)) this.problem(`${connection} was released twice`)
      if (!this.acquired.has(connection)) this.problem(`${connection} was released and not acquired`)
      this.released.add(connection)
    },
    together: (connection: string, count: number): void => {
      if (count > 1) this.problem(`${connection} is one of ${count} connections of its session`)
    },
    before: (log: string): number => this.past(log).length,
    finished: (op: string, { base, ops }: typeof Life.Type): void => {
      const told = `${base} ${ops.join()}`
      if (ops.at(-1) !== op) this.problem(`a log has ended with ${op}, and has had ${told}`)
      if ((this.finishes.get(op) ?? told) !== told) this.problem(`${op} was answered in two ways`)
      this.finishes.set(op, told)
    },
    left: (connection: string): void => {
      if (!this.entered.has(connection)) this.problem(`onDisconnect has run for ${connection}, which has never stood`)
      if (this.left.has(connection)) this.problem(`onDisconnect has run twice for ${connection}`)
      if (!this.released.has(connection)) this.problem(`onDisconnect has run before the releases of ${connection}`)
      this.left.add(connection)
    }
  }

  /** What a subscription has given: indices, and `undefined` for a gap. */
  readonly events = (client: string, seen: ReadonlyArray<number | undefined>): void => {
    let last: number | undefined
    let gap = true
    for (const index of seen) {
      if (index === undefined) {
        this.gaps++
        gap = true
        continue
      }
      if (last !== undefined && (gap ? index <= last : index !== last + 1)) {
        this.problem(`${client}: event ${index} came after ${last}${gap ? " and a gap" : ""}`)
      }
      last = index
      gap = false
    }
  }

  /** What a subscription has given that was live when so many operations had been called: nothing is missing before it. */
  readonly eventsSince = (
    client: string,
    log: string,
    operations: number,
    [first]: ReadonlyArray<number | undefined>
  ): void => {
    if (first === undefined) return
    this.comparisons.push(() => {
      const all = this.committed.get(log) ?? []
      for (const { log: at, op } of this.operations.slice(operations)) {
        const index = at === log ? all.indexOf(op) : -1
        if (index !== -1 && index < first)
          this.problem(`${client}: the first event was ${first}, and not that of ${op}`)
      }
    })
  }

  /** What a reader has heard of events of which only the newest of each sender counts. */
  readonly newest = (reader: string, seen: ReadonlyArray<typeof Entry.Type>): void => {
    const last = new Map<string, number>()
    for (const { index, log, op } of seen) {
      const operation = this.operations.find((operation) => operation.op === op)
      // what others have brought, or an alarm has, comes from the log itself
      const sender = operation?.log === log && !staged.has(operation.kind) ? operation.client : "the log"
      const before = last.get(sender) ?? -1
      if (index <= before) this.problem(`${reader}: event ${index} of ${sender} came after ${before}`)
      last.set(sender, index)
    }
  }

  /** How long a client was to wait before it dialled again, in a row of failures, in milliseconds. */
  readonly waits = (client: string, waits: ReadonlyArray<number>): void => {
    if (waits.filter((millis) => millis === longestWait).length > 1) {
      this.problem(`${client} has waited for exactly the longest time, as all others may have`)
    }
  }

  /** What a stream has given, of numbers in a row from 0 on, and how many there were if it has come to its end. */
  readonly followed = (client: string, seen: ReadonlyArray<number>, length: number | undefined): void => {
    seen.forEach((index, i) => {
      if (index !== i) this.problem(`${client}: the stream has given ${index} as its ${i + 1}th`)
    })
    if (length !== undefined && seen.length !== length)
      this.problem(`${client}: the stream has ended after ${seen.length} of ${length}`)
  }

  /** What a stream of the entries of a log has given. They are told as answers are. */
  readonly entries = (client: string, log: string, seen: ReadonlyArray<typeof Entry.Type>): void => {
    this.followed(client, seen.map(({ index }) => index), undefined)
    this.compare(() => {
      for (const entry of seen) {
        if (entry.log !== log || this.committed.get(log)?.[entry.index] !== entry.op)
          this.problem(`${client}: the stream of ${log} has given ${entry.op} of ${entry.log} as ${entry.index}`)
      }
    })
  }

  /** Says what hangs, of a run that did not come to its end. */
  tellRunning(): void {
    for (const { kind, op, outcome } of this.operations) {
      if (outcome._tag === "Running") this.problem(`${kind} ${op} has not ended`)
    }
  }

  // --- what must hold when all is over -------------------------------------------------------------------------------

  /** `logs`: what the actors say they have. `single`: one host at a time, and none was killed. */
  check(
    logs: ReadonlyMap<string, ReadonlyArray<string>>,
    options: Circumstances
  ) {
    if (this.volatile) { for (const [key, ops] of logs) this.committed.set(key, ops) }
    for (const check of this.comparisons) check()
    for (const [key, ops] of logs) {
      const committed = this.committed.get(key) ?? []
      if (ops.join() !== committed.join()) this.problem(`${key} does not have what was committed`)
      const twice = repeated(ops).filter((op) => options.hosts === 1 || this.isOf(op, key))
      if (twice.length > 0) this.problem(`${key} has something twice: ${twice.join()}`)
    }
    for (const operation of this.operations) this.checkOperation(operation, logs, options)
    this.checkOrder(logs)
    this.checkGaps(options.undisturbed)
    this.checkTimes(logs, options.hosts)
    for (const [key, ops] of logs) this.checkLives(key, ops.slice(this.past(key).length))
    if (options.crashes === 0) {
      for (const connection of this.acquired) {
        if (!this.released.has(connection)) this.problem(`${connection} was acquired and not released`)
      }
      // who was let in and not told when the activation was lost has never stood
      for (const id of this.opened) {
        if (!hasId(this.left, id)) this.problem(`connection ${id} has ended, and onDisconnect has not run`)
      }
    }
  }

  /**
   * Whether an operation was called at this log, and not brought by another one. What one actor asks of another holds once
   * as long as a host owns the actors it believes to own, which of two hosts on one store only one does.
   */
  private isOf(op: string, key: string): boolean {
    return this.operations.some((operation) => operation.op === op && operation.log === key)
  }

  private checkGaps(undisturbed: boolean): void {
    if (undisturbed && this.gaps > 0) this.problem(`${this.gaps} gaps, though every connection could be resumed`)
  }

  private checkOperation(
    operation: Operation,
    logs: ReadonlyMap<string, ReadonlyArray<string>>,
    { dismissed, ended, kept }: Circumstances
  ): void {
    const { kind, log, op, outcome, to } = operation
    const isIn = (key: string) => logs.get(key)?.includes(op) === true
    const here = isIn(log)
    const elsewhere = [...logs.keys()].filter((key) => key !== log && key !== to && isIn(key))
    if (elsewhere.length > 0) this.problem(`${op} is in ${elsewhere.join()}, where nobody has put it`)
    if (kind === "Refuse" && here) this.problem(`${op} was refused, and is there`)
    switch (outcome._tag) {
      case "Running":
        return this.problem(`${kind} ${op} has not ended`)
      case "Success": {
        if (kind === "Refuse") this.problem(`${op} was not refused`)
        if (kind === "Poison") this.problem(`${op} was kept, and cannot be stored`)
        // an alarm is gone with the life in which it was set
        if ((adds.has(kind) || (kind === "AddLater" && !this.lives.has(log))) && !here)
          this.problem(`${kind} ${op} has succeeded, and is not there`)
        if (to !== undefined && !isIn(to)) this.problem(`${op} was brought to ${to}, and is not there`)
        return
      }
      case "Failure":
        if (outcome.sent === "no" && (here || (to !== undefined && isIn(to)))) {
          this.problem(`${kind} ${op} was not sent, and is there`)
        }
        if (kept && staysWithActor(kind) && outcome.error === "OutcomeUnknown")
          this.problem(`nobody knows how ${kind} ${op} has ended, though its actor has stayed`)
        if (
          !(dismissed && outcome.error === "ConnectionClosed") && !(ended && outcome.error === "ActorDestroyed")
          && !mayFail(kind, outcome.error, this.forgetful)
        )
          this.problem(`${kind} ${op} has failed: ${outcome.error}`)
        // a turn that has failed has left nothing
        if (outcome.sent === undefined && here) this.problem(`${op} has failed, and is there: ${outcome.error}`)
        return
      case "Interrupted":
        return
    }
  }

  /** A client's calls to one log take effect in the order in which they were made. */
  private checkOrder(logs: ReadonlyMap<string, ReadonlyArray<string>>): void {
    const last = new Map<string, { readonly index: number; readonly op: string }>()
    for (const { client, kind, log, op } of this.operations) {
      const index = isOrdered(kind) ? logs.get(log)?.indexOf(op) ?? -1 : -1
      if (index === -1) continue
      const before = last.get(`${client} ${log}`)
      if (before && before.index > index) this.problem(`${op} stands before ${before.op}, which was called earlier`)
      last.set(`${client} ${log}`, { index, op })
    }
  }

  private hasLeft(key: string, op: string): boolean {
    const id = connectionOf(op)
    return id !== undefined && this.left.has(`${key} ${id}`)
  }

  /** What has happened by itself: timers ring if they have not been set again or cancelled, and connections end once. */
  private checkLives(key: string, present: ReadonlyArray<string>): void {
    const kinds = new Map(this.operations.map(({ kind, op }) => [op, kind]))
    const rings = new Set([...kinds.keys()].map(ringOf))
    let awaited: string | undefined
    for (const life of [...this.lives.get(key) ?? [], present]) {
      awaited = undefined
      for (const op of life) {
        if (kinds.get(op) === "SetTimer") awaited = ringOf(op)
        else if (kinds.get(op) === "CancelTimer") awaited = undefined
        else if (op === awaited) awaited = undefined
        else if (rings.has(op)) this.problem(`${key}: ${op} came though it was set again or cancelled`)
        else if (!kinds.has(op) && !this.hasLeft(key, op)) this.problem(`${key} has ${op}, and nobody has added it`)
      }
    }
    if (awaited !== undefined) this.problem(`${key}: ${awaited} has not come`)
  }

  /** What was answered before something else was called stands before it, and whoever looks later sees it. */
  private checkTimes(logs: ReadonlyMap<string, ReadonlyArray<string>>, hosts: number): void {
    for (const [key, ops] of logs) {
      const mine = this.operations.filter(({ log }) => log === key)
      const ends = mine
        .flatMap((operation) => {
          const { kind, outcome } = operation
          if (outcome._tag !== "Success" || outcome.value === undefined || kind === "Follow") return []
          return [{ at: operation.endedAt, length: kind === "Length" ? outcome.value : outcome.value + 1, operation }]
        })
        .sort((a, b) => a.at - b.at)
      const calls = [...mine].sort((a, b) => a.calledAt - b.calledAt)
      let known = 0
      let next = 0
      for (const { calledAt, endedAt, kind, op, outcome } of calls) {
        for (; next < ends.length && ends[next]!.at < calledAt; next++) known = Math.max(known, ends[next]!.length)
        if (kind === "Length") {
          if (outcome._tag !== "Success") continue
          // who has been deposed and does not know it yet may say what was true before
          if (hosts === 1 && outcome.value! < known) {
            this.problem(`${key} had ${outcome.value} when asked, and had had ${known} before`)
          }
          const newest = ops[outcome.value! - 1]
          const caller = this.operations.find((operation) => operation.op === newest)
          if (caller && caller.calledAt > endedAt) this.problem(`${key} had ${newest} before it was called`)
          continue
        }
        const index = ops.indexOf(op)
        if (kind !== "AddAgain" && index !== -1 && index < known) {
          this.problem(`${op} stands at ${index}, and ${known} were there when it was called`)
        }
      }
    }
  }
}

/** Of the default schedule, before its jitter. */
const longestWait = 30_000

const adds: ReadonlySet<Kind> = new Set([
  "Add",
  "AddIfOdd",
  "Forward",
  "AddOnce",
  "AddAgain",
  "AddBeside",
  "SetTimer",
  "CancelTimer",
  "End",
  "Receive",
  "ReceiveBeside"
])

/** Runs beside the turns, and is lost with its actor only. */
const staysWithActor = (kind: Kind): boolean => kind === "AddBeside" || kind === "Follow" || kind === "Count"

/** They are not added in a turn of the client that has called. */
const staged: ReadonlySet<Kind> = new Set(["AddLater", "Receive", "ReceiveBeside"])

/** Whether one of the connections, which are told with their logs, has this id. */
const hasId = (connections: ReadonlySet<string>, id: number): boolean =>
  Array.from(connections).some((connection) => connection.endsWith(` ${id}`))

const repeated = (ops: ReadonlyArray<string>) => ops.filter((op, i) => ops.indexOf(op) !== i)

/** How a call may fail when everything heals in the end. */
const mayFail = (kind: Kind, error: string, forgetful: boolean): boolean => {
  if (forgetful && error === "OutcomeUnknown") return kind !== "AddAgain"
  switch (kind) {
    case "Poison":
      return error === "ServerDefect"
    case "AddIfOdd":
    case "Refuse":
      return error === "Refused"
    case "Forward":
    case "End":
      // the other actor may have been out of reach for longer than a call waits
      return error === "ServerDefect"
    case "Receive":
    case "ReceiveBeside":
      return error === "ActorUnavailable" || error === "CallTimeout"
    case "AddOnce":
    case "AddBeside":
    case "Follow":
    case "Count":
      return error === "OutcomeUnknown"
    default:
      return false
  }
}
