/** Clients and actors that come and go by the thousand: nothing of them stays. Real processes, whose memory is looked at. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import Database from "libsql"
import * as Http from "node:http"
import type { Plan } from "./programs/come-and-go.ts"
import * as NodeTransport from "./utils/NodeTransport.ts"
import * as Program from "./utils/Program.ts"
import { until } from "./utils/until.ts"
import * as Vanishing from "./utils/Vanishing.ts"
import { end, failing, visit, Visited } from "./utils/Visited.ts"
import * as VisitedServer from "./utils/VisitedServer.ts"
import type { Vitals } from "./utils/Vitals.ts"

type Look = Vitals & { readonly cycles: number }

/** Without these, what the engine compiles, and the notes it takes for that, would be most of what grows. */
const uncompiled = ["--no-opt", "--always-sparkplug"]

/** Runs a plan, and returns what the process held at each look. */
const run = (plan: Plan, flags: ReadonlyArray<string> = []) =>
  Effect.gen(function*() {
    const program = yield* Program.start("come-and-go", [JSON.stringify(plan)], {
      flags: ["--expose-gc", "--single-threaded-gc", "--max-semi-space-size=32", ...flags]
    })
    assert.strictEqual(yield* program.endedIn("4 minutes"), 0, program.errors())
    const looks = program.lines.map((line) => JSON.parse(line) as Look)
    assert.deepStrictEqual(looks.map(({ cycles }) => cycles), plan.looks)
    return looks
  })

/**
 * Holds each look to the one before: what there is does not depend on how many have come and gone. The least growth counts:
 * what the engine has not tidied up yet at one moment is in one of two neighbouring steps, and a leak is in all of them.
 */
const compare = (looks: ReadonlyArray<Look>, bytesMax: number) =>
  Effect.sync(() => {
    const [first, ...others] = looks
    const steps = others.map((last, i) => (last.bytes - looks[i]!.bytes) / (last.cycles - looks[i]!.cycles))
    console.log(`${steps.map((bytes) => bytes.toFixed(1)).join(", ")} bytes a cycle: ${JSON.stringify(looks)}`)
    assert.isAtMost(Math.min(...steps), bytesMax)
    const last = others.at(-1)!
    // equal timeouts share a fiber, and a timer, which are there for as long as there are any
    for (const what of ["fibers", "timers"] as const) assert.isAtMost(last[what], first![what] + 4, what)
    for (const what of ["sockets", "connections", "activations"] as const) {
      assert.strictEqual(last[what], first![what], what)
    }
  })

// Whatever is kept of something is a kilobyte or more: a session, a connection, an activation, a fiber; and of one in twelve
// that vanish, still a hundred bytes a cycle. An engine that compiles moves some 400 KiB about, which are 100 bytes for each
// of 4 000 cycles; one that does not, 100 KiB.

it.scopedLive("C11 L6 10 000 clients, each with a link of its own, and 10 000 actors: nothing of them stays", () =>
  Effect.flatMap(
    run({
      actors: "many",
      durability: "commit",
      looks: [2_000, 6_000, 10_000],
      atATime: 100,
      keys: Number.MAX_SAFE_INTEGER,
      // longer than the test: what is stored need not be in memory as well
      retentionMillis: 86_400_000
    }),
    (looks) => compare(looks, 150)
  ))

it.scopedLive("C11 L6 clients that come to an actor that stays, or vanish from it without a word", () =>
  Effect.flatMap(
    run(
      { actors: "one", durability: "commit", looks: [200, 500, 800], atATime: 50, keys: 1, retentionMillis: 100 },
      uncompiled
    ),
    (looks) => compare(looks, 300)
  ))

it.scopedLive("L6 actors of which nothing is stored, that go to sleep and wake again", () =>
  Effect.flatMap(
    run(
      { actors: "many", durability: "memory", looks: [200, 500, 800], atATime: 100, keys: 100, retentionMillis: 100 },
      uncompiled
    ),
    (looks) => compare(looks, 300)
  ))

/** A request over HTTP; one for a stream without an end is given up when the first value of it is there. */
const post = (port: number, key: string, tag: string, name: string) =>
  Effect.promise(() =>
    new Promise<void>((resolve, reject) => {
      const request = Http.request({
        agent: false,
        port,
        method: "POST",
        path: `/actors/Visited/${key}/rpc`,
        headers: { "content-type": "application/ndjson", "troupe-params": JSON.stringify({ name }) }
      }, (response) => {
        response.on("error", () => {}).on("close", () => resolve())
        if (tag === "Watch") response.once("data", () => request.destroy())
        else response.resume()
      })
      request.on("error", reject)
      request.end(`${JSON.stringify({ _tag: "Request", id: "1", tag, payload: { text: "x" }, headers: [] })}\n`)
    })
  )

/** One that comes and goes, over a socket or over HTTP, to an actor which it ends, in the end. */
const visitor = (port: number, number: number) =>
  Effect.scoped(Effect.gen(function*() {
    const key = `s${number}`
    const plain = yield* NodeTransport.make(port)
    const vanishing = Vanishing.over(plain)
    const client = yield* NodeTransport.client(vanishing.transport)
    switch (number % 5) {
      case 0:
        yield* visit(client, key)
        yield* Effect.scoped(
          Effect.flatMap(client.connect(Visited, `${key}'`, { params: { name: "ann" } }), ({ rpc }) => rpc.End())
        )
        break
      case 1:
        for (const name of ["mallory", "", "ann"]) yield* post(port, key, "Add", name)
        yield* post(port, key, "Watch", "ann")
        break
      case 2:
        for (const failed of Object.values(failing(client, key))) yield* failed
        break
      case 3: {
        const { rpc } = yield* client.connect(Visited, key, { params: { name: "ann" } })
        yield* vanishing.deafen
        yield* Effect.forkScoped(rpc.Add({ text: "x" }))
        yield* Effect.sleep(20)
        yield* vanishing.vanish
        return yield* Effect.scoped(Effect.flatMap(NodeTransport.client(plain), (client) => end(client, key)))
      }
    }
    yield* end(client, key)
  }))

it.scopedLive("C11 L6 the same over real sockets, HTTP and a store file, whose tables are empty in the end", () =>
  Effect.gen(function*() {
    const server = yield* VisitedServer.serve({
      host: { resumeWindow: 50, idleTimeout: 50 },
      gateway: { openTimeout: 500 },
      store: { retention: 300, sweepInterval: 100 }
    })
    const db = yield* Effect.acquireRelease(
      Effect.sync(() => new Database(server.filename, { readonly: true })),
      (db) => Effect.sync(() => db.close())
    )
    const number = (sql: string) => (db.prepare(sql).get() as { readonly value: number }).value
    const rows = () =>
      number(
        "SELECT (SELECT count(*) FROM actor) + (SELECT count(*) FROM segment) + (SELECT count(*) FROM alarm) AS value"
      )
    const round = (from: number, to: number) =>
      Effect.gen(function*() {
        const numbers = Array.from({ length: to - from }, (_, i) => from + i)
        yield* Effect.forEach(numbers, (number) => Effect.orDie(visitor(server.port, number)), {
          concurrency: 10,
          discard: true
        })
        yield* until(() => rows() === 0, "the tables are empty")
        const held = yield* server.restsAt({ fibers: 8, timers: 8, sockets: 0, connections: 0, activations: 0 })
        return { ...held, cycles: to, pages: number("SELECT page_count AS value FROM pragma_page_count") }
      })
    const looks = [yield* round(0, 50), yield* round(50, 125), yield* round(125, 200)]
    yield* compare(looks, 1000)
    assert.isAtMost(looks[2]!.pages, looks[0]!.pages * 1.5)
    assert.strictEqual(server.program.errors(), "")
  }))
