import { readdirSync } from "node:fs"
import { defineWorkspace } from "vitest/config"

const folders = (of: string) => readdirSync(new URL(of, import.meta.url))

/** Runs in processes that take one file after another (`npm test` says so): most of the time would go into loading Effect. */
const library = (name: string) => ({
  name: `@troupe/${name}`,
  root: `packages/${name}`,
  include: ["test/**/*.test.ts"],
  // real processes and browsers, properties that try many values, hours of virtual time, and a machine that may be busy
  testTimeout: 300_000,
  hookTimeout: 300_000
})

/** Its processes take the time of the cores that other tests leave, which wait now and then. */
const simulation = "test/simulation.test.ts"

/** `benchmarks` is no package of the workspace; the others are named below. */
const others = new Set(["benchmarks", "node", "testing", "repository"])

/** Every package and every example is a project of its own; `vitest run --project @troupe/client` runs one. */
export default defineWorkspace([
  ...folders("packages").filter((name) => !others.has(name)).map((name) => ({ test: library(name) })),
  { test: { ...library("node"), globalSetup: "test/utils/Programs.ts" } },
  { test: { ...library("testing"), exclude: [simulation] } },
  { test: { ...library("testing"), pool: "threads", name: "@troupe/testing/simulation", include: [simulation] } },
  { test: { ...library("repository"), maxConcurrency: 2 } },
  ...folders("examples").map((name) => ({
    extends: `examples/${name}/vitest.config.ts`,
    test: { name, root: `examples/${name}` }
  }))
])
