import { defineWorkspace } from "vitest/config"

/** Every package and every example is a project of its own; `vitest run --project @troupe/client` runs one. */
export default defineWorkspace([
  "packages/*",
  "examples/*",
  "!packages/benchmarks"
])
