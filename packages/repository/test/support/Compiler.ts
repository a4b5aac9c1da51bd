/** Compiles all fences in one program, in memory, as if each document were a folder of files in this package. */
import { dirname, join } from "node:path"
import ts from "typescript"
import type { Fence } from "./Fence.ts"
import { root } from "./Repository.ts"

/** Nothing is ever written here. It lies in this package so that the packages named in a fence resolve from it. */
const folder = join(root, "packages/repository/.fences")

const pathOf = (fence: Fence): string => join(folder, fence.document.replaceAll(/[^\w]+/g, "_"), fence.name)

const options = (): ts.CompilerOptions => {
  const path = join(root, ".tsconfig.test.json")
  const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => {} }
  const parsed = ts.getParsedCommandLineOfConfigFile(path, undefined, host)!
  return {
    ...parsed.options,
    incremental: false,
    // Two fences without imports would share their names otherwise.
    moduleDetection: ts.ModuleDetectionKind.Force
  }
}

const hostOf = (sources: ReadonlyMap<string, string>, options: ts.CompilerOptions): ts.CompilerHost => {
  const host = ts.createCompilerHost(options)
  const folders = new Set([folder, ...[...sources.keys()].map((path) => dirname(path))])
  return Object.assign(host, {
    readFile: (path: string) => sources.get(path) ?? ts.sys.readFile(path),
    fileExists: (path: string) => sources.has(path) || ts.sys.fileExists(path),
    directoryExists: (path: string) => folders.has(path) || ts.sys.directoryExists(path)
  })
}

/** What the compiler has to say, each with the document and the line where it stands: `docs/x.md:12: ...`. */
export const problems = (fences: ReadonlyArray<Fence>): ReadonlyArray<string> => {
  const sources = new Map(fences.map((fence) => [pathOf(fence), fence.code]))
  const compilerOptions = options()
  const program = ts.createProgram([...sources.keys()], compilerOptions, hostOf(sources, compilerOptions))
  return fences.flatMap((fence) => {
    const file = program.getSourceFile(pathOf(fence))!
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map((diagnostic) => {
      const line = file.getLineAndCharacterOfPosition(diagnostic.start ?? 0).line + fence.line
      return `${fence.document}:${line}: ${ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n")}`
    })
  })
}
