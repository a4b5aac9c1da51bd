/** What a browser downloads for an entry file of `test/fixtures`, as esbuild bundles it. */
import { build } from "esbuild"
import { gzipSync } from "node:zlib"
import { root } from "./Repository.ts"

export interface Bundle {
  /** The bundled files, as paths from the repository's root, and the imports that were left alone. */
  readonly inputs: ReadonlyArray<string>
  readonly gzipBytes: number
}

/** `external`: imports to leave out, for the size of our own code on top of what an app has already. */
export const make = async (entry: string, options?: { readonly external: ReadonlyArray<string> }): Promise<Bundle> => {
  const result = await build({
    entryPoints: [`packages/repository/test/fixtures/${entry}`],
    absWorkingDir: root,
    // The sources' own choices (target, `verbatimModuleSyntax`) come from the tsconfig; the output is a browser's.
    tsconfig: `${root}/tsconfig.json`,
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    // A `node:` import is to be found by the test below with a readable name, not by an esbuild error.
    external: ["node:*", ...options?.external ?? []],
    write: false,
    metafile: true,
    logLevel: "silent"
  })
  const externals = Object.values(result.metafile.inputs).flatMap((input) =>
    input.imports.filter((imported) => imported.external).map((imported) => imported.path)
  )
  return {
    inputs: [...Object.keys(result.metafile.inputs), ...new Set(externals)],
    gzipBytes: gzipSync(result.outputFiles[0]!.contents, { level: 9 }).byteLength
  }
}
