import { startServer } from "../_shared/troupe.mjs"
export const start = startServer("memory")
