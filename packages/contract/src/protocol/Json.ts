/** JSON of values that come from elsewhere, or go there: what `JSON` itself would take without a word. */

/** What is wrong with a value out of `JSON.parse`, if a schema should not even look at it. */
export const issueOf = (value: unknown, depthMax: number): string | undefined => find(value, depthMax, depthMax)

const find = (value: unknown, depth: number, depthMax: number): string | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  if (depth <= 0) return `it is nested deeper than depthMax, ${depthMax}`
  if (Array.isArray(value)) {
    for (const element of value) {
      const issue = find(element, depth - 1, depthMax)
      if (issue) return issue
    }
    return undefined
  }
  for (const key of Object.keys(value)) {
    // to assign it would change the prototype of whatever it is assigned to
    if (key === "__proto__") return `a key is ${key}`
    const issue = find((value as Record<string, unknown>)[key], depth - 1, depthMax)
    if (issue) return issue
  }
  return undefined
}

/** Whether there is a number that JSON has not: NaN, or an infinite one. */
export const hasNonFinite = (value: unknown): boolean =>
  typeof value === "number"
    ? !Number.isFinite(value)
    : typeof value === "object" && value !== null && Object.values(value).some(hasNonFinite)

/** The text of a value. JSON has no NaN and nothing infinite: they would come back as `null`, so they are an error. */
export const encode = (value: unknown, what: string): string => {
  const text = JSON.stringify(value) ?? "null"
  if (text.includes("null") && hasNonFinite(value)) throw new TypeError(`${what} has a number that JSON has not`)
  return text
}

/** The value of a text that was stored. What a parser says of a text that is none would quote it, in logs. */
export const decode = (text: string, what: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    throw new TypeError(`${what} is not JSON`)
  }
}
