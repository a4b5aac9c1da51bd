/**
 * Bugs that are planted into copies of the sources, to see that the simulation finds them: a test of the tests. Some are
 * such as one makes, others are those that the simulation has found. `seed` is one that finds it.
 */
export interface Planted {
  readonly name: string
  /** From the folder `packages`. */
  readonly file: string
  /** What stands there; a copy is made only if it does. */
  readonly find: string
  readonly replace: string
  /** The first from 0 on that finds it. `npm run simulate -- --planted` looks for them. */
  readonly seed: number
  /** Of all seeds, if with their own it takes too many. */
  readonly theme?: string
}

const server = "server/src/internal"
const client = "client/src/internal"

export const planted: ReadonlyArray<Planted> = [
  {
    name: "a call that is known is not joined, but run again",
    file: `${server}/Calls.ts`,
    find: "if (known) return connection.join(known)",
    replace: "session.calls.delete(id)",
    seed: 6
  },
  {
    name: "a connection that was superseded goes on",
    file: `${server}/Admission.ts`,
    find: `connection.session.connection?.end({ _tag: "Superseded" })`,
    replace: "",
    seed: 6
  },
  {
    name: "an open that is late takes the place of a newer connection",
    file: `${server}/Admission.ts`,
    find: "if (open.opening <= newest)",
    replace: "if (open.opening < 0)",
    seed: 31
  },
  {
    name: "an open that is late forgets answers that it does not know of",
    file: `${server}/LiveActivation.ts`,
    find: " || entry.number >= open.sentBelow",
    replace: "",
    seed: 41,
    theme: "late"
  },
  {
    name: "no version guard",
    file: "server/src/ActorStore.ts",
    find: "row.epoch !== commit.epoch || row.version !== commit.version",
    replace: "row.epoch !== commit.epoch",
    seed: 25
  },
  {
    name: "no epoch check, and no version guard with it",
    file: "server/src/ActorStore.ts",
    find: "row.epoch !== commit.epoch || row.version !== commit.version",
    replace: "false",
    seed: 12
  },
  {
    name: "replies and events leave before their commit",
    file: `${server}/CommitPipeline.ts`,
    find: "this.waiting.push(ended)",
    replace: "ended.release(undefined); this.waiting.push({ ...ended, release: () => {} })",
    seed: 0
  },
  {
    name: "a cancelled call stays in the queue",
    file: `${client}/Calls.ts`,
    find: "if (this.pending.get(call.number) === call) live.push(call)",
    replace: "if (call) live.push(call)",
    seed: 3
  },
  {
    name: "jitter before the cap",
    file: "client/src/ClientOptions.ts",
    find: `Schedule.union(Schedule.spaced("30 seconds")),
    Schedule.jitteredWith({ min: 0.5, max: 1 })`,
    replace: `Schedule.jitteredWith({ min: 0.5, max: 1 }),
    Schedule.union(Schedule.spaced("30 seconds"))`,
    seed: 69
  },
  {
    name: "the old token is refused at once",
    file: `${server}/ServerConnection.ts`,
    find: "(token !== this.token && token !== this.previousToken)",
    replace: "token !== this.token",
    seed: 3
  },
  {
    name: "recorded replies are deleted before their client has them",
    file: `${server}/Calls.ts`,
    find: "if (!awaited || session.gone) this.settle(session, entry)",
    replace: "this.owner.recorded.settle(entry); if (!awaited || session.gone) this.settle(session, entry)",
    seed: 6
  },
  {
    name: "the first answer of a commit that its client has takes the others from the store",
    file: `${server}/Recorded.ts`,
    find: "this.unsettled.set(segment, answers)",
    replace: "this.unsettled.set(segment, Math.min(answers, 1))",
    seed: 28,
    theme: "impatience"
  },
  {
    name: "a turn that fails sends its events",
    file: `${server}/Turns.ts`,
    find: `if (kept) turn.send(() => answer(segment))
        else answer(segment)`,
    replace: "turn.send(() => answer(segment))",
    seed: 0
  },
  {
    name: "a wake-up of the turns is lost",
    file: `${server}/TurnLoop.ts`,
    find: "if (MutableList.length(this.ring) > 0) this.wake()",
    replace: "if (false) this.wake()",
    seed: 173,
    theme: "impatience"
  },
  {
    name: "what was missed in an absence is not told",
    file: `${client}/Subscriptions.ts`,
    find: "if (subscription.live) missed",
    replace: "if (false) missed",
    seed: 6
  },
  {
    name: "the client ignores the retention",
    file: `${client}/Calls.ts`,
    find: "&& sent.at < keptSince",
    replace: "&& false",
    seed: 81
  },
  {
    name: "no careful mode",
    file: `${server}/Turns.ts`,
    find: "const careful = this.carefulTurns > 0 || (turn.suspect && this.durable)",
    replace: "const careful = false",
    seed: 1
  },
  {
    name: "careful mode ends before the failure is recorded",
    file: `${server}/Turns.ts`,
    find: "      this.carefulTurns = carefulTurnsMax\n",
    replace: "      this.carefulTurns = 0\n",
    seed: 141
  },
  {
    name: "the hooks of a connection's end run twice",
    file: `${server}/ServerConnection.ts`,
    find: "this.owner.onEnded(this, reason)",
    replace: "this.owner.onEnded(this, reason); this.owner.onEnded(this, reason)",
    seed: 0
  },
  {
    name: "failures are not recorded",
    file: `${server}/Turns.ts`,
    find: "turn.calledOthers || !kept",
    replace: "turn.calledOthers",
    seed: 16
  },
  {
    name: "an alarm that has fired is not used up",
    file: `${server}/Alarms.ts`,
    find: "if (ran && !turn.alarmChanges?.has(alarm.id)) turn.changeAlarm(alarm.id, undefined)",
    replace: "",
    seed: 1
  },
  {
    name: "a call between actors is run again when it is made again",
    file: `${server}/InternalCalls.ts`,
    find: "const found = this.find(call, id)",
    replace: "const found = undefined as Known | undefined",
    seed: 9
  },
  {
    name: "what has not arrived is not sent again after a resume",
    file: `${server}/ServerConnection.ts`,
    find: `received: this.inbox.received }))
    this.replay(attachment)`,
    replace: "received: this.inbox.received }))",
    seed: 3
  },
  {
    name: "a client that asks anew says that its session is over",
    file: `${client}/Opening.ts`,
    find: `this.tellClosed({ _tag: "Superseded" })`,
    replace: `this.tellClosed({ _tag: "ClientClosed" })`,
    seed: 52
  },
  {
    name: "a chunk counts as read as often as its client says so",
    file: `${server}/Session.ts`,
    find: "if (chunk === this.chunks) this.chunk?.acknowledged()",
    replace: "this.chunk?.acknowledged()",
    seed: 150,
    theme: "streams"
  },
  {
    name: "a call that runs beside the turns is sent again to another activation",
    file: `${client}/Calls.ts`,
    find: "activation !== terms.activation || ",
    replace: "",
    seed: 8,
    theme: "hours"
  },
  {
    name: "a call that runs beside the turns is sent again however long its client was away",
    file: `${client}/Calls.ts`,
    find: " || terms.heardUntil < terms.keptSince",
    replace: "",
    seed: 58,
    theme: "hours"
  },
  {
    name: "what is known of the calls of a client is forgotten when it is disconnected",
    file: `${server}/LiveActivation.ts`,
    find: `session.gone = reason._tag === "ClientClosed"`,
    replace: `session.gone = recovery(reason) === "closed"`,
    seed: 5,
    theme: "dismissal"
  },
  {
    name: "a connection whose hook fails after it has ended is over twice",
    file: `${server}/ServerConnection.ts`,
    find: "this.ended = this.refused = true",
    replace: "this.ended = true",
    seed: 1,
    theme: "doors"
  },
  {
    name: "events are subscribed to again after the queue has drained",
    file: `${server}/Admission.ts`,
    find: "for (const event of open.events) this.subscribe(connection, event)",
    replace: `const later = Effect.sync(() => {
      for (const event of open.events) this.subscribe(connection, event)
    })
    Runtime.runFork(this.owner.runtime)(Effect.delay(later, "100 millis"))`,
    seed: 0
  },
  {
    name: "what an actor has answered to others is forgotten at its end",
    file: `${server}/CommitPipeline.ts`,
    find: "destroy ? Array.from(this.owner.outliving()) : []",
    replace: "[]",
    seed: 188,
    theme: "lives"
  },
  {
    name: "alarms outlive their actor",
    file: "server/src/ActorStore.ts",
    find: "for (const id of Array.from(row.alarms.keys())) this.setAlarm(row, id, undefined)",
    replace: "",
    seed: 19,
    theme: "lives"
  },
  {
    name: "a client sends a call again to the next life of its actor",
    file: `${client}/Calls.ts`,
    find: "if (sent.incarnation !== terms.incarnation)",
    replace: "if (false)",
    seed: 7,
    theme: "lives"
  },
  {
    name: "an alarm that was set again fires as before, too",
    file: `${server}/Alarms.ts`,
    find: "return this.owner.turns.alarms.get(id)?.firing === firing",
    replace: "return this.owner.turns.alarms.get(id) !== undefined",
    seed: 277,
    theme: "bustle"
  },
  {
    name: "an alarm that is cancelled fires all the same",
    file: `${server}/Alarms.ts`,
    find: "if (this.owner.turns.alarms.get(id) || staged?.has(id)) turn.changeAlarm(id, undefined)",
    replace: "staged",
    seed: 0,
    theme: "bustle"
  },
  {
    name: "an event of which only the latest counts overtakes what waits for room",
    file: `${server}/GatewayLink.ts`,
    find: "return this.waiting.size === 0 && this.keepsUp()",
    replace: "return this.keepsUp()",
    seed: 260,
    theme: "bustle"
  },
  {
    name: "a call of a backend, which has no name, is made again",
    file: `${server}/OutgoingCalls.ts`,
    find: "const mayBeMadeAgain = ({ id }: InternalCall): boolean => id !== undefined",
    replace: "const mayBeMadeAgain = ({ codec }: InternalCall): boolean => !codec.forked",
    seed: 11,
    theme: "bustle"
  },
  {
    name: "what clients have been answered is forgotten when a memory actor goes to sleep",
    file: `${server}/LiveActivation.ts`,
    find: "this.recorded.withSessions(this.sessions.values(),",
    replace: "this.recorded.withSessions([],",
    seed: 6,
    theme: "volatile"
  }
]
