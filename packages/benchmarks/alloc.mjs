import inspector from "node:inspector"
import { startServer } from "./peers/_shared/troupe.mjs"
const s = await startServer(process.env.DUR ?? "memory")({ host: "127.0.0.1", executed() {} })
await s.createActors(500)
const n = Number(process.argv[2] ?? 4000)
const se = new inspector.Session(); se.connect()
const live = process.argv[3] === "live"
const post = (m, p) => new Promise((r, j) => se.post(m, p, (e, x) => e ? j(e) : r(x)))
global.gc()
await post("HeapProfiler.startSampling", { samplingInterval: Number(process.env.SI ?? 4096), ...(live ? {} : { includeObjectsCollectedByMajorGC: true, includeObjectsCollectedByMinorGC: true }) })
await s.createActors(n)
if (live) { await new Promise(r=>setTimeout(r,500)); global.gc() }
const { profile } = await post("HeapProfiler.stopSampling")
const self = new Map(), incl = new Map(); let total = 0
const k = f => f.functionName + " " + f.url.split("/").slice(-1) + ":" + (f.lineNumber + 1)
const walk = (node, path) => { const key = k(node.callFrame); let size = node.selfSize; total += size; self.set(key, (self.get(key) ?? 0) + size)
  const p = path.includes(key) ? path : [...path, key]
  for (const x of p) incl.set(x, (incl.get(x) ?? 0) + size)
  for (const c of node.children) walk(c, p) }
walk(profile.head, [])
console.log("total per op", (total / n / 1024).toFixed(2), "KiB")
console.log("--self"); for (const [a, b] of [...self].sort((x, y) => y[1] - x[1]).slice(0, 60)) console.log((b / n).toFixed(0).padStart(8), a)
console.log("--incl"); for (const [a, b] of [...incl].sort((x, y) => y[1] - x[1]).slice(0, 130)) console.log((b / n).toFixed(0).padStart(8), a)
await s.stop()
