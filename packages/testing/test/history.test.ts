/** Histories with something wrong in them, each in one way: what checks those of the simulation finds them all. */
import { assert, describe, it } from "@effect/vitest"
import type { ActorStore } from "@troupe/server"
import type { MemoryTransport } from "@troupe/testing"
import { type Circumstances, History, type Kind, type Operation, type Outcome } from "../simulation/History.ts"

const calm: Circumstances = {
  hosts: 1,
  crashes: 0,
  dismissed: false,
  ended: false,
  kept: false,
  undisturbed: true
}

/** What happens to log `a` in a run, a millisecond after another. */
class Run {
  private now = 0
  readonly history = new History(() => this.now++, false, false)
  private ops: ReadonlyArray<string> = []
  private version = 0

  call(op: string, kind: Kind = "Add", client = "ann"): Operation {
    return this.history.call({ client, log: "a", to: undefined, kind, op })
  }

  commit(ops: ReadonlyArray<string>, epoch = 1): void {
    this.ops = ops
    this.history.onCommit({
      address: { contract: "Log", key: "a" } as ActorStore.Commit["address"],
      epoch,
      version: this.version++,
      state: JSON.stringify({ base: 0, ops }),
      replies: [],
      settledSegments: [],
      fsync: false
    })
  }

  tell(operation: Operation, value: number | undefined): void {
    this.history.end(operation, { _tag: "Success", value })
  }

  end(operation: Operation, outcome: Outcome): void {
    this.history.end(operation, outcome)
  }

  /** A call that takes effect, and is answered. */
  add(op: string, client = "ann"): void {
    const operation = this.call(op, "Add", client)
    this.commit([...this.ops, op])
    this.tell(operation, this.ops.length - 1)
  }

  /** Connection 1 is let in. */
  connect(): void {
    this.history.watch.acquired("a 1")
    this.history.watch.entered("a 1")
    this.history.onMessage(openedOf(1))
  }

  disconnect(): void {
    this.history.watch.released("a 1")
    this.history.watch.left("a 1")
  }

  problems(ops: ReadonlyArray<string> = this.ops): ReadonlyArray<string> {
    this.history.check(new Map([["a", ops]]), calm)
    return this.history.problems
  }
}

const wrong: Record<string, (run: Run) => void> = {
  "a call that has not ended": (run) => void run.call("x"),
  "a call that took effect twice": (run) => {
    run.add("x")
    run.commit(["x", "x"])
  },
  "a call that was answered and had no effect": (run) => run.tell(run.call("x"), 0),
  "the failure of another call": (run) =>
    run.end(run.call("x", "Refuse"), { _tag: "Failure", error: "Refused", sent: undefined, of: "y" }),
  "an entry of another log in a stream": (run) => {
    run.add("x")
    run.history.entries("ann", "a", [{ log: "b", op: "x", index: 0 }])
  },
  "an entry in a stream that was not added there": (run) => {
    run.add("x")
    run.history.entries("ann", "a", [{ log: "a", op: "y", index: 0 }])
  },
  "an answer before its commit": (run) => {
    const operation = run.call("x")
    run.tell(operation, 0)
    run.commit(["x"])
  },
  "the answer of another call": (run) => {
    const [x, y] = [run.call("x"), run.call("y")]
    run.commit(["x", "y"])
    run.tell(x, 1)
    run.tell(y, 0)
  },
  "a number of entries that there never were": (run) => {
    run.add("x")
    run.tell(run.call("how many", "Length"), 2)
  },
  "a number of entries that were not committed yet": (run) => {
    run.add("x")
    const operation = run.call("y")
    run.tell(run.call("how many", "Length"), 2)
    run.commit(["x", "y"])
    run.tell(operation, 1)
  },
  "a number of entries that is too old": (run) => {
    run.add("x")
    run.tell(run.call("how many", "Length"), 0)
  },
  "a call that was not sent and took effect": (run) => {
    run.end(run.call("x"), { _tag: "Failure", error: "ConnectionClosed", sent: "no" })
    run.commit(["x"])
  },
  "a call that failed and took effect": (run) => {
    run.end(run.call("x", "AddIfOdd"), { _tag: "Failure", error: "Refused", sent: undefined })
    run.commit(["x"])
  },
  "two calls in the wrong order": (run) => {
    const [x, y] = [run.call("x"), run.call("y")]
    run.commit(["y", "x"])
    run.tell(y, 0)
    run.tell(x, 1)
  },
  "an entry that is lost": (run) => {
    run.add("x")
    run.add("y")
    run.commit(["x"], 2)
  },
  "two writers in one epoch": (run) => {
    run.add("x")
    run.commit(["y"])
  },
  "an old writer": (run) => {
    run.commit(["x"], 2)
    run.commit(["x", "y"], 1)
  },
  "an entry that nobody has asked for": (run) => run.commit(["x"]),
  "an event before its commit": ({ history }) => void history.onMessage(eventOf("x", 0)),
  "an event that is lost": ({ history }) => history.events("ann", [0, 2]),
  "the first events of a subscription that are lost": (run) => {
    for (const op of ["x", "y", "z"]) run.add(op)
    run.history.eventsSince("ann", "a", 1, [2])
  },
  "an event that comes twice": ({ history }) => history.events("ann", [0, 0]),
  "two events in the wrong order": ({ history }) => history.events("ann", [1, 0]),
  "an event again after a gap": ({ history }) => history.events("ann", [0, 1, undefined, 1]),
  "a gap without a reason": ({ history }) => history.events("ann", [0, undefined, 3]),
  "a stream with a hole": ({ history }) => history.followed("ann", [0, 2], 2),
  "a stream that ends early": ({ history }) => history.followed("ann", [0, 1], 3),
  "a connection that is acquired twice": (run) => {
    run.connect()
    run.connect()
    run.disconnect()
  },
  "a connection that opens before onConnect": ({ history }) => void history.onMessage(openedOf(1)),
  "a connection that is not released": (run) => {
    run.connect()
    run.history.watch.left("a 1")
  },
  "a connection whose onDisconnect does not run": (run) => {
    run.connect()
    run.history.watch.released("a 1")
  },
  "a connection whose onDisconnect runs twice": (run) => {
    run.connect()
    run.disconnect()
    run.history.watch.left("a 1")
  }
}

const sent = (frame: unknown) =>
  ({ from: "server", text: JSON.stringify([frame]), frames: [frame] }) as unknown as MemoryTransport.Sent

const eventOf = (op: string, index: number) =>
  sent({
    _tag: "Message",
    channel: 1,
    seq: 1,
    payload: { _tag: "Event", event: "added", payload: { log: "a", op, index } }
  })

const openedOf = (connectionId: number) => sent({ _tag: "Opened", connectionId })

describe("the checks of histories find", () => {
  for (const [what, happen] of Object.entries(wrong)) {
    it(what, () => {
      const run = new Run()
      happen(run)
      assert.isNotEmpty(run.problems())
    })
  }

  it("and nothing in one that is right", () => {
    const run = new Run()
    run.connect()
    run.add("x")
    run.history.onMessage(eventOf("x", 0))
    run.add("y", "bob")
    run.tell(run.call("how many", "Length"), 2)
    run.end(run.call("z", "Refuse"), { _tag: "Failure", error: "Refused", sent: undefined })
    run.history.events("ann", [0, 1])
    run.history.eventsSince("ann", "a", 1, [1])
    run.disconnect()
    assert.deepStrictEqual(run.problems(), [])
  })
})
