/** The rows of `docs/guarantees.md`, and the ids that test titles begin with. */
export interface Guarantee {
  readonly id: string
  /** Where it is proven. Empty while it is planned. */
  readonly files: ReadonlyArray<string>
}

const row = /^\| ([A-Z]\d+)\b[^|]*\|.*\|([^|]*)\|\s*$/gm
const title = /\(\s*["'`]((?:[A-Z]\d+,? )+)/g
/** A suite for many subjects keeps its tests in an object, by title. */
const key = /^\s*"((?:[A-Z]\d+,? )+)[^"]*":/gm

export const parse = (text: string): ReadonlyArray<Guarantee> =>
  [...text.matchAll(row)].map(([, id, cell]) => {
    const files = [...cell!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)
    if (files.length === 0 && cell!.trim() !== "planned") throw new Error(`${id}: neither a file nor "planned"`)
    return { id: id!, files }
  })

/** A title names one id, or several: `"C4 ..."`, `"B1, B3 ..."`. */
export const titles = (source: string): ReadonlyArray<string> => {
  const ids = [...source.matchAll(title), ...source.matchAll(key)].flatMap((match) =>
    match[1]!.match(/[A-Z]\d+/g) ?? []
  )
  return [...new Set(ids)].sort()
}
