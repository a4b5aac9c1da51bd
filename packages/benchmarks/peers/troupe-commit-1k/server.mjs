import { startServer } from "../_shared/troupe.mjs"
export const start = startServer("commit", { padding: 1 * 1024 })
