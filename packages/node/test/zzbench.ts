import { Address } from "@troupe/contract"
import { SqliteStore } from "@troupe/node"
import { ActorStore } from "@troupe/server"
import { Effect } from "effect"
import * as fs from "node:fs"
import { monitorEventLoopDelay } from "node:perf_hooks"
const blob = JSON.stringify({
  messages: Array.from({ length: 8 }, (_, i) => ({ id: i, text: "hello world ".repeat(4), at: 1700000000000 + i }))
})
const replies = Array.from(
  { length: 4 },
  (_, i) => ({ session: "0123456789abcdef0123456789abcdef", call: i, exit: "{\"_tag\":\"Success\",\"value\":1}" })
)
const run = (fsync: boolean, C: number, n: number, withReplies: boolean) =>
  Effect.gen(function*() {
    const store = yield* ActorStore.ActorStore
    const claims = yield* Effect.forEach(Array.from({ length: C }, (_, i) => i), (i) =>
      Effect.map(store.claim(Address.make("C", `a${i}`)), (c) => ({ ...c, address: Address.make("C", `a${i}`) })), {
      concurrency: "unbounded"
    })
    const h = monitorEventLoopDelay({ resolution: 1 })
    h.enable()
    const t = performance.now()
    yield* Effect.forEach(claims, (c) =>
      Effect.gen(function*() {
        for (let v = c.version; v < c.version + n / C; v++) {
          const [r] = yield* store.commit([{
            address: c.address,
            epoch: c.epoch,
            version: v,
            state: blob,
            replies: withReplies ? replies : [],
            settledSegments: withReplies ? [v] : [],
            fsync
          }])
          if (r!._tag !== "committed")
            throw new Error(r!._tag)
        }
      }), { concurrency: "unbounded", discard: true })
    const ms = performance.now() - t
    h.disable()
    console.log(
      fsync ? "fsync " : "commit",
      withReplies ? "state+replies" : "state        ",
      String(C).padStart(4),
      "actors",
      (n / ms * 1000).toFixed(0).padStart(7),
      "rows/s",
      (ms / n * C * 1000).toFixed(0).padStart(7),
      "us latency  loop p99",
      (h.percentile(99) / 1e6).toFixed(1),
      "ms"
    )
  })
const batchRun = (fsync: boolean, C: number, rounds: number, withReplies: boolean) =>
  Effect.gen(function*() {
    const store = yield* ActorStore.ActorStore
    const claims = yield* Effect.forEach(Array.from({ length: C }, (_, i) => i), (i) =>
      Effect.map(store.claim(Address.make("C", `a${i}`)), (c) => ({ ...c, address: Address.make("C", `a${i}`) })), {
      concurrency: "unbounded"
    })
    const h = monitorEventLoopDelay({ resolution: 1 })
    h.enable()
    const t = performance.now()
    const cpu = process.cpuUsage()
    for (let k = 0; k < rounds; k++) {
      const r = yield* store.commit(
        claims.map((c) => ({
          address: c.address,
          epoch: c.epoch,
          version: c.version + k,
          state: blob,
          replies: withReplies ? replies : [],
          settledSegments: withReplies ? [c.version + k] : [],
          fsync
        }))
      )
      if (
        r.some((r) =>
          r._tag !== "committed"
        )
      ) throw new Error("x")
    }
    const ms = performance.now() - t
    h.disable()
    const u = process.cpuUsage(cpu)
    const n = rounds * C
    console.log(
      "batch",
      fsync ? "fsync " : "commit",
      withReplies ? "state+replies" : "state        ",
      String(C).padStart(4),
      "actors",
      (n / ms * 1000).toFixed(0).padStart(7),
      "rows/s",
      (ms / rounds * 1000).toFixed(0).padStart(7),
      "us/batch cpu us/row",
      ((u.user + u.system) / n).toFixed(1),
      "loop p99",
      (h.percentile(99) / 1e6).toFixed(1),
      "ms"
    )
  })
const main = Effect.gen(function*() {
  for (const withReplies of [false, true])
    for (const fsync of [false, true])
      for (const C of [1, 16, 256])
        yield* batchRun(fsync, C, C === 1 ? 1000 : C === 16 ? 500 : 160, withReplies)
  for (const withReplies of [false, true])
    for (const fsync of [false, true])
      for (const C of [1, 16, 256])
        yield* run(fsync, C, C === 1 ? 1000 : C === 16 ? 8000 : 40960, withReplies)
})
fs.rmSync("/work/main/packages/node/.build/bench.db", { force: true })
Effect.runPromise(
  main.pipe(Effect.provide(SqliteStore.layer({ filename: "/work/main/packages/node/.build/bench.db" })))
).then(() => fs.rmSync("/work/main/packages/node/.build/bench.db"))
