import { startServer } from "../_shared/troupe.mjs"
export const start = startServer("commit", { padding: 100 * 1024 })
