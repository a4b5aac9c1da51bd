/** What a client does, for each reason a server can give and each moment it can give it in: a table, and its rows. */
import { assert, it } from "@effect/vitest"
import type { ActorClient, Connection } from "@troupe/client"
import { ConnectionError, type DisconnectReason, Gap } from "@troupe/contract"
import type { DefinitionOf } from "@troupe/contract/Contract"
import { Effect, Exit, Fiber, Option, Scope, Stream } from "effect"
import { makeScripted } from "./support/scripted.ts"
import { Tally } from "./support/tally.ts"
import {
  assertExponential,
  begin,
  collect,
  failure,
  isRunning,
  pass,
  result,
  settle,
  statuses,
  statusOf,
  waitOf,
  word
} from "./support/world.ts"

type Reason = DisconnectReason.DisconnectReason
type Lab = Effect.Effect.Success<ReturnType<typeof makeScripted>>
type TallyConnection = Connection.Connection<DefinitionOf<Tally>>

/**
 * `closed`: for good. `reopened`: at once on the same link; on the schedule if the new connection is lost soon. `retried`:
 * on the schedule, on the same link.
 */
const table: { readonly [R in Reason as R["_tag"]]: readonly [then: "closed" | "reopened" | "retried", reason: R] } = {
  Disconnected: ["closed", { _tag: "Disconnected", reason: "be nice" }],
  ClientClosed: ["closed", { _tag: "ClientClosed" }],
  Destroyed: ["closed", { _tag: "Destroyed" }],
  Denied: ["closed", { _tag: "Denied", error: { _tag: "Turned", away: "no entry" } }],
  InvalidParams: ["closed", { _tag: "InvalidParams", issue: "who is missing" }],
  UnknownActor: ["closed", { _tag: "UnknownActor", issue: "nobody here" }],
  ProtocolViolation: ["closed", { _tag: "ProtocolViolation", issue: "not like that" }],
  Superseded: ["closed", { _tag: "Superseded" }],
  GaveUp: ["closed", { _tag: "GaveUp" }],
  ActivationLost: ["reopened", { _tag: "ActivationLost" }],
  ResumeExpired: ["reopened", { _tag: "ResumeExpired" }],
  SlowConsumer: ["reopened", { _tag: "SlowConsumer" }],
  Unavailable: ["retried", { _tag: "Unavailable", defectId: "0011" }],
  ConnectTimeout: ["retried", { _tag: "ConnectTimeout", afterMillis: 10_000 }],
  LimitReached: ["retried", { _tag: "LimitReached", limit: "connectionsMax", max: 256 }]
}

const rows = (then: "closed" | "reopened" | "retried") =>
  Object.values(table).flatMap(([what, reason]) => what === then ? [reason] : [])

/** When the server gives the reason. */
const moments: Record<string, (lab: Lab, tally: TallyConnection, reason: Reason) => Effect.Effect<void>> = {
  "to a connection that stands": ({ server }, _, reason) => server.close(reason),
  "to a resume": ({ network, server }, tally, reason) =>
    Effect.gen(function*() {
      server.lost = reason
      yield* network.cut
      yield* settle
      yield* pass(yield* waitOf(tally))
    }),
  "to an opening anew": ({ server }, _, reason) =>
    Effect.suspend(() => {
      server.refusals.push(reason)
      return server.close({ _tag: "ActivationLost" })
    })
}

const connect = (client: ActorClient.ActorClient["Type"]) => client.connect(Tally, "a", { params: { who: "ann" } })

/** One call that was sent, and one that the credit holds back. */
const makeCalls = (tally: TallyConnection) =>
  Effect.all([begin(tally.rpc.Add({ label: "sent" })), begin(tally.rpc.Add({ label: "unsent" }))])

const assertClosed = (error: unknown, reason: Reason, sent: "no" | "maybe") => {
  assert.instanceOf(error, ConnectionError.ConnectionClosed)
  assert.deepStrictEqual(error.reason, reason)
  assert.strictEqual(error.sent, sent)
}

const assertConnected = (tally: TallyConnection, resumed: boolean) =>
  Effect.map(tally.status.get, (status) => assert.strictEqual(word(status), resumed ? "resumed" : "connected"))

/** The reason a connection waits for, as its status shows it. */
const assertWaits = (tally: TallyConnection, attempt: number, reason: Reason) =>
  Effect.map(tally.status.get, (status) => {
    if (status._tag !== "Waiting" || status.cause._tag !== "NotOpened") return assert.fail(word(status))
    assert.strictEqual(status.attempt, attempt)
    assert.isTrue(Option.isSome(status.retryAt))
    assert.deepStrictEqual(status.cause.reason, reason)
  })

/** The calls are sent, in order and as far as the credit goes, and answered. The first has been sent before. */
const assertGoesOn = ({ server }: Lab, [sent, unsent]: Effect.Effect.Success<ReturnType<typeof makeCalls>>) =>
  Effect.gen(function*() {
    const first = server.opens.at(-1)!.pending[0]!
    assert.deepStrictEqual(server.opens.at(-1)!.pending, [first], "only what was sent is pending")
    assert.strictEqual(server.requests.at(-1), first)
    assert.isTrue(yield* isRunning(sent))
    yield* server.answer(first, 1)
    assert.strictEqual(yield* result(sent), 1)
    assert.strictEqual(server.requests.at(-1), first + 1)
    yield* server.answer(first + 1, 2)
    assert.strictEqual(yield* result(unsent), 2)
  })

const makeLab = Effect.tap(makeScripted(), ({ server }) => {
  server.window = 1
})

// --- closed for good -------------------------------------------------------------------------------------------------

for (const reason of rows("closed")) {
  for (const [moment, give] of Object.entries(moments)) {
    it.scoped(`A7 C10 ${reason._tag}, ${moment}: closed for good, calls settle, no redial`, () =>
      Effect.gen(function*() {
        const lab = yield* makeLab
        const { client, network, server } = lab
        for (const _ of [1, 2]) {
          const scope = yield* Scope.make()
          const tally = yield* Scope.extend(connect(client), scope)
          const events = yield* begin(Effect.flatMap(tally.events("tick"), Stream.runDrain).pipe(Effect.scoped))
          const [sent, unsent] = yield* makeCalls(tally)
          yield* give(lab, tally, reason)
          assert.deepStrictEqual(yield* tally.status.get, { _tag: "Closed", reason } as never)
          assertClosed(yield* failure(sent), reason, "maybe")
          assertClosed(yield* failure(unsent), reason, "no")
          assertClosed(yield* failure(events), reason, "no")
          assertClosed(yield* Effect.flip(tally.rpc.Add({ label: "late" })), reason, "no")
          assertClosed(yield* Effect.flip(Effect.scoped(tally.events("tick"))), reason, "no")
          const before = [yield* network.dials, server.opens.length, server.requests.length]
          yield* pass("10 minutes")
          assert.deepStrictEqual([yield* network.dials, server.opens.length, server.requests.length], before)
          assert.strictEqual(yield* network.links, 0, "nobody wants the link any more")
          yield* Scope.close(scope, Exit.void)
        }
      }))
  }

  it.scoped(`A3 ${reason._tag}, to a first connect: it fails, after one attempt`, () =>
    Effect.gen(function*() {
      const { client, network, server } = yield* makeLab
      for (const round of [1, 2]) {
        server.refusals.push(reason)
        const error = yield* failure(yield* begin(connect(client)))
        if (reason._tag === "Denied") assert.strictEqual(error._tag, "Turned")
        else assertClosed(error, reason, "no")
        yield* pass("10 minutes")
        assert.lengthOf(server.opens, round)
        assert.strictEqual(yield* network.links, 0)
      }
    }))
}

// --- opened anew -----------------------------------------------------------------------------------------------------

for (const reason of rows("reopened")) {
  for (const [moment, give] of Object.entries(moments)) {
    it.scoped(`C16 ${reason._tag}, ${moment}: opened anew on the same link, and calls are sent again`, () =>
      Effect.gen(function*() {
        const lab = yield* makeLab
        const { client, network, server } = lab
        const tally = yield* connect(client)
        const ticks = yield* begin(Effect.flatMap(tally.events("tick"), collect))
        yield* server.acknowledge("tick")
        const items = yield* result(ticks)
        for (const round of [1, 2]) {
          yield* pass("5 seconds")
          const calls = yield* makeCalls(tally)
          const opens = server.opens.length
          const seen = yield* statuses(tally)
          yield* give(lab, tally, reason)
          if (moment === "to an opening anew") {
            // an attempt at once has failed, so the next one waits
            yield* assertWaits(tally, 1, reason)
            yield* pass("1 second")
            assert.deepStrictEqual(seen, ["connected", "connecting", "waiting 1 NotOpened", "connecting", "connected"])
            assert.strictEqual(server.opens.length, opens + 2)
          } else {
            assert.deepStrictEqual(seen.slice(-2), ["connecting", "connected"])
            assert.strictEqual(server.opens.length, opens + 1)
          }
          yield* assertConnected(tally, false)
          assert.strictEqual(yield* network.dials, moment === "to a resume" ? round + 1 : 1)
          assert.lengthOf(items.filter(Gap.isGap), round, "events may be missing")
          yield* assertGoesOn(lab, calls)
        }
      }))
  }

  it.scoped(`C16 ${reason._tag}, again and again: the first time at once, then on the schedule`, () =>
    Effect.gen(function*() {
      const lab = yield* makeLab
      const { client, network, server } = lab
      const tally = yield* connect(client)
      for (const _ of [1, 2]) {
        yield* pass("5 seconds")
        const calls = yield* makeCalls(tally)
        yield* server.close(reason)
        yield* assertConnected(tally, false)
        const delays: Array<number> = []
        for (let attempt = 1; attempt <= 5; attempt++) {
          yield* server.close(reason)
          yield* assertWaits(tally, attempt, reason)
          delays.push(yield* waitOf(tally))
          const opens = server.opens.length
          yield* pass(delays.at(-1)! - 1)
          assert.strictEqual(server.opens.length, opens)
          yield* pass(1)
          assert.strictEqual(server.opens.length, opens + 1)
          yield* assertConnected(tally, false)
        }
        assertExponential(delays)
        yield* assertGoesOn(lab, calls)
      }
      assert.strictEqual(yield* network.dials, 1)
    }))
}

// --- tried again on the schedule -------------------------------------------------------------------------------------

for (const reason of rows("retried")) {
  for (const [moment, give] of Object.entries(moments)) {
    it.scoped(`C16 ${reason._tag}, ${moment}: opened anew on the schedule, on the same link`, () =>
      Effect.gen(function*() {
        const lab = yield* makeLab
        const { client, network, server } = lab
        const tally = yield* connect(client)
        for (const _ of [1, 2]) {
          yield* pass("5 seconds")
          const calls = yield* makeCalls(tally)
          yield* give(lab, tally, reason)
          const dials = yield* network.dials
          const delays: Array<number> = []
          for (let attempt = 1; attempt <= 5; attempt++) {
            yield* assertWaits(tally, attempt, reason)
            delays.push(yield* waitOf(tally))
            if (attempt < 5) server.refusals.push(reason)
            const opens = server.opens.length
            yield* pass(delays.at(-1)! - 1)
            assert.strictEqual(server.opens.length, opens)
            yield* pass(1)
            assert.strictEqual(server.opens.length, opens + 1)
            for (const call of calls) assert.strictEqual(yield* isRunning(call), true)
          }
          assertExponential(delays)
          yield* assertConnected(tally, false)
          assert.strictEqual(yield* network.dials, dials)
          yield* assertGoesOn(lab, calls)
        }
      }))
  }

  it.scoped(`A10 ${reason._tag}, to a first connect: it fails, after one attempt`, () =>
    Effect.gen(function*() {
      const { client, network, server } = yield* makeLab
      for (const round of [1, 2]) {
        server.refusals.push(reason)
        assertClosed(yield* failure(yield* begin(connect(client))), reason, "no")
        yield* pass("10 minutes")
        assert.lengthOf(server.opens, round)
        assert.strictEqual(yield* network.links, 0)
      }
    }))
}

it.scoped("C6 a call that is interrupted while its connection waits to be opened anew does not cut the wait short", () =>
  Effect.gen(function*() {
    const lab = yield* makeLab
    const { client, server } = lab
    const tally = yield* connect(client)
    const reason = { _tag: "Unavailable", defectId: "0011" } as const
    for (const _ of [1, 2]) {
      yield* pass("5 seconds")
      const [sent, unsent] = yield* makeCalls(tally)
      server.refusals.push(reason)
      yield* server.close({ _tag: "ActivationLost" })
      const opens = server.opens.length
      const requests = server.requests.length
      yield* Fiber.interrupt(sent)
      yield* settle
      yield* assertWaits(tally, 1, reason)
      assert.strictEqual(server.opens.length, opens)
      yield* pass(yield* waitOf(tally))
      assert.deepStrictEqual(server.opens.slice(opens).map(({ pending }) => pending), [[]])
      assert.strictEqual(server.requests.length, requests + 1, "the other one is sent, it is not sent again")
      yield* server.answer(server.requests.at(-1)!, 2)
      assert.strictEqual(yield* result(unsent), 2)
    }
  }))

// --- the link --------------------------------------------------------------------------------------------------------

it.scoped("C10 GoAway: redialled after its delay, not before, and what was sent rides the resume", () =>
  Effect.gen(function*() {
    const { client, network, server } = yield* makeLab
    const tally = yield* connect(client)
    for (const round of [1, 2]) {
      yield* pass("5 seconds")
      const [sent, unsent] = yield* makeCalls(tally)
      yield* server.say({ _tag: "GoAway", retryAfterMillis: 40_000 })
      const requests = server.requests.length
      // answers are still taken on the old link, and nothing new is sent on it
      yield* server.answer(2 * round - 1, round)
      assert.strictEqual(yield* result(sent), round)
      assert.strictEqual(server.requests.length, requests)
      assert.strictEqual(yield* statusOf(tally), "waiting 1 GoAway")
      const wait = yield* waitOf(tally)
      assert.isAtLeast(wait, 40_000 + 125)
      assert.isAtMost(wait, 40_000 + 250)
      yield* pass(wait - 1)
      assert.strictEqual(yield* network.dials, round)
      yield* pass(1)
      assert.strictEqual(yield* network.dials, round + 1)
      yield* assertConnected(tally, true)
      yield* server.answer(2 * round, 10)
      assert.strictEqual(yield* result(unsent), 10)
    }
  }))

it.scoped("C10 GoAway: the link is left when the last call is lost, or its connection is closed", () =>
  Effect.gen(function*() {
    for (const end of ["lost", "closed"]) {
      const { client, server } = yield* makeLab
      const idle = yield* client.connect(Tally, "idle", { params: { who: "ann" } })
      const scope = yield* Scope.make()
      const busy = yield* Scope.extend(connect(client), scope)
      const call = yield* begin(busy.rpc.Add({ label: "sent" }))
      yield* server.say({ _tag: "GoAway", retryAfterMillis: 40_000 })
      assert.strictEqual(yield* statusOf(idle), "connected")
      yield* end === "lost" ? server.lose(1) : Effect.zipRight(Scope.close(scope, Exit.void), settle)
      assert.strictEqual(yield* statusOf(idle), "waiting 1 GoAway")
      assert.strictEqual((yield* failure(call))._tag, end === "lost" ? "OutcomeUnknown" : "ConnectionClosed")
    }
  }))

it.scoped("C10 link lost: redialled on the schedule, and what was sent rides the resume", () =>
  Effect.gen(function*() {
    const { client, network, server } = yield* makeLab
    const tally = yield* connect(client)
    for (const round of [1, 2]) {
      yield* pass("5 seconds")
      const [sent, unsent] = yield* makeCalls(tally)
      const requests = server.requests.length
      yield* network.cut
      yield* settle
      assert.strictEqual(yield* statusOf(tally), "waiting 1 LinkLost")
      assertExponential([yield* waitOf(tally)])
      yield* pass(yield* waitOf(tally))
      assert.strictEqual(yield* network.dials, round + 1)
      yield* assertConnected(tally, true)
      assert.strictEqual(server.requests.length, requests, "the server has it")
      yield* server.answer(2 * round - 1, 1)
      yield* server.answer(2 * round, 2)
      assert.deepStrictEqual([yield* result(sent), yield* result(unsent)], [1, 2])
    }
    assert.lengthOf(server.opens, 1)
  }))

it.scoped("C10 the link is refused, for its version for example: every connection is closed, and no redial", () =>
  Effect.gen(function*() {
    const { client, network, server } = yield* makeLab
    const reason = { _tag: "ProtocolViolation", issue: "this server speaks version 2" } as const
    for (const round of [1, 2]) {
      const tally = yield* connect(client)
      const [sent, unsent] = yield* makeCalls(tally)
      // a server of another version has taken over
      server.refusal = reason
      yield* network.cut
      yield* pass("1 second")
      assert.deepStrictEqual(yield* tally.status.get, { _tag: "Closed", reason } as never)
      assertClosed(yield* failure(sent), reason, "maybe")
      assertClosed(yield* failure(unsent), reason, "no")
      yield* pass("10 minutes")
      const connecting = yield* begin(connect(client))
      assertClosed(yield* failure(connecting), reason, "no")
      yield* pass("10 minutes")
      assert.strictEqual(yield* network.dials, 3 * round)
      assert.strictEqual(yield* network.links, 0)
      server.refusal = undefined
      yield* Fiber.interrupt(connecting)
    }
  }))
