import { readdirSync } from "node:fs"
import { defineWorkspace } from "vitest/config"

const library = (name: string) => ({
  test: {
    name: `@troupe/${name}`,
    root: `packages/${name}`,
    include: ["test/**/*.test.ts"],
    // real processes and browsers, properties that try many values, hours of virtual time, and a machine that may be busy
    testTimeout: 120_000,
    hookTimeout: 120_000
  }
})

/** Every package and every example is a project of its own; `vitest run --project @troupe/client` runs one. */
export default defineWorkspace([
  ...readdirSync(new URL("packages", import.meta.url)).filter((name) => name !== "benchmarks").map(library),
  "examples/*"
])
