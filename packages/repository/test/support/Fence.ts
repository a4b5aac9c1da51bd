/**
 * The ```ts fences of a document: a Markdown file, or the doc comments of a source file.
 *
 * A fence that begins with `// file: chat.ts` can be imported by the other fences of its document as `./chat.ts`.
 */
export interface Fence {
  readonly document: string
  /** The line of the document, counted from 1, on which the fence's first line of code stands. */
  readonly line: number
  /** The name the fence gave itself, or one that no other fence of the document has. */
  readonly name: string
  readonly code: string
}

const opening = /^(\s*(?:\* ?)?)```ts\s*$/
const named = /^\/\/ file: (\S+\.ts)\s*$/

/** The part of a line that belongs to the code: without the indent of the list item or the star of the comment. */
const strip = (line: string, prefix: string): string =>
  line.startsWith(prefix) ? line.slice(prefix.length) : prefix.startsWith(line.trimEnd()) ? "" : line.trimStart()

export const parse = (document: string, text: string): ReadonlyArray<Fence> => {
  const lines = text.split("\n")
  const fences: Array<Fence> = []
  for (let start = 0; start < lines.length; start++) {
    const prefix = opening.exec(lines[start]!)?.[1]
    if (prefix === undefined) continue
    const end = lines.findIndex((line, index) => index > start && strip(line, prefix).startsWith("```"))
    if (end === -1) throw new Error(`${document}:${start + 1}: this fence has no end`)
    const code = lines.slice(start + 1, end).map((line) => strip(line, prefix))
    const name = named.exec(code[0] ?? "")?.[1] ?? `fence-${start + 1}.ts`
    if (fences.some((other) => other.name === name)) {
      throw new Error(`${document}:${start + 2}: another fence of this document is named ${name}`)
    }
    fences.push({ document, line: start + 2, name, code: code.join("\n") })
    start = end
  }
  return fences
}
