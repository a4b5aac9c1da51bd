import inspector from "node:inspector"
import { startServer } from "./peers/_shared/troupe.mjs"
import { fork } from "node:child_process"
if (process.argv[2] === "client") {
  const { connect } = await import("./peers/_shared/troupe.mjs")
  const conns = []
  process.on("message", async ({ url, n }) => { for (let i = 0; i < n; i += 50) conns.push(...await Promise.all(Array.from({ length: 50 }, async () => { const c = await connect({ url }); await c.increment(); return c }))); process.send("done") })
} else {
const s = await startServer("memory")({ host: "127.0.0.1", executed() {} })
const child = fork(new URL(import.meta.url), ["client"])
const open = (n) => new Promise((r) => { child.once("message", r); child.send({ url: s.url, n }) })
await open(200)
const n = 2000
const se = new inspector.Session(); se.connect()
const post = (m, p) => new Promise((r, j) => se.post(m, p, (e, x) => e ? j(e) : r(x)))
await new Promise(r => setTimeout(r, 500)); global.gc()
const h = process.memoryUsage()
await post("HeapProfiler.startSampling", { samplingInterval: 1024 })
await open(n)
await new Promise(r => setTimeout(r, 800)); global.gc()
const m = process.memoryUsage()
const { profile } = await post("HeapProfiler.stopSampling")
console.log("heap per connection", ((m.heapUsed - h.heapUsed) / n / 1024).toFixed(2), "external", ((m.external - h.external) / n / 1024).toFixed(2))
const self = new Map(); let total = 0
const k = f => f.functionName + " " + f.url.split("/").slice(-1) + ":" + (f.lineNumber + 1)
const walk = (node, up) => { const key = k(node.callFrame) + (process.argv[2] === "up" ? " < " + up : ""); let size = node.selfSize; total += size; self.set(key, (self.get(key) ?? 0) + size); for (const c of node.children) walk(c, k(node.callFrame)) }
walk(profile.head, "")
console.log("total per op", (total / n / 1024).toFixed(2), "KiB")
for (const [a, b] of [...self].sort((x, y) => y[1] - x[1]).slice(0, 60)) console.log((b / n).toFixed(0).padStart(8), a)
child.kill(); process.exit(0)
}
