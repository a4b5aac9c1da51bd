import { startServer } from "./peers/_shared/troupe.mjs"
const s = await startServer(process.env.DUR ?? "memory")({ host: "127.0.0.1", executed() {} })
await s.createActors(500)
const n = Number(process.argv[2] ?? 4000)
global.gc?.(); const h = process.memoryUsage().heapUsed
const t = performance.now(); const c = process.cpuUsage()
await s.createActors(n)
const d = process.cpuUsage(c)
global.gc?.(); 
console.log(`${Math.round(n/(performance.now()-t)*1000)}/s, ${Math.round((d.user+d.system)/n)} us cpu, heap/actor ${((process.memoryUsage().heapUsed-h)/n/1024).toFixed(2)} KiB`)
await s.stop()
