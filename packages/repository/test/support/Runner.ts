/** Runs the tests among fences with vitest: each document is written as the folder of files that it is. */
import { execFile } from "node:child_process"
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import type { Fence } from "./Fence.ts"
import { root } from "./Repository.ts"

export interface Result {
  readonly document: string
  /** The name of the fence. */
  readonly name: string
  readonly title: string
  readonly passed: boolean
  readonly message: string
}

interface Report {
  readonly testResults: ReadonlyArray<{
    readonly name: string
    readonly message: string
    readonly assertionResults: ReadonlyArray<{
      readonly title: string
      readonly status: string
      readonly failureMessages: ReadonlyArray<string>
    }>
  }>
}

/** In this package, so that the packages named in a fence resolve; `.temp` is what other runs of vitest do not look into. */
const parent = join(root, "packages/repository/.build/.temp")

const isTest = ({ name }: Fence): boolean => name.endsWith(".test.ts")

/** Without what tells vitest that it runs inside of vitest. */
const environment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(VITEST|NODE_ENV$|TEST$)/.test(name)))

const vitest = (folder: string, report: string): Promise<string> =>
  new Promise((resolve) => {
    const entry = join(root, "packages/repository/node_modules/vitest/vitest.mjs")
    const options = ["run", "--root", folder, "--no-isolate", "--reporter", "json", "--outputFile", report]
    // a reader's machine has nothing else to do
    options.push("--testTimeout", "60000")
    // that a test has failed stands in the report
    execFile(process.execPath, [entry, ...options], { cwd: folder, env: environment() }, (_, stdout, stderr) => {
      resolve(stdout + stderr)
    })
  })

const write = async (folder: string, fences: ReadonlyArray<Fence>): Promise<ReadonlyMap<string, Fence>> => {
  const paths = new Map(
    fences.map((fence) => [join(folder, fence.document.replaceAll(/[^\w]+/g, "_"), fence.name), fence])
  )
  for (const [path, { code }] of paths) {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, code)
  }
  return paths
}

const resultsOf = ({ testResults }: Report, paths: ReadonlyMap<string, Fence>): ReadonlyArray<Result> =>
  testResults.flatMap(({ assertionResults, message, name: path }) => {
    const { document, name } = paths.get(path)!
    // a file that does not load has no tests
    if (assertionResults.length === 0) return [{ document, name, title: "", passed: false, message }]
    return assertionResults.map(({ failureMessages, status, title }) => ({
      document,
      name,
      title,
      passed: status === "passed",
      message: failureMessages.join("\n")
    }))
  })

/** Of every document with a fence that is called `*.test.ts`: how its tests have ended. */
export const run = async (fences: ReadonlyArray<Fence>): Promise<ReadonlyArray<Result>> => {
  const tested = new Set(fences.filter(isTest).map(({ document }) => document))
  await mkdir(parent, { recursive: true })
  const folder = await mkdtemp(join(parent, "fences-"))
  try {
    const paths = await write(folder, fences.filter(({ document }) => tested.has(document)))
    const report = join(folder, "report.json")
    const output = await vitest(folder, report)
    const text = await readFile(report, "utf8").catch(() => {
      throw new Error(`vitest has not reported:\n${output}`)
    })
    return resultsOf(JSON.parse(text) as Report, paths)
  } finally {
    await rm(folder, { recursive: true })
  }
}
