/** Whose a fiber of a simulation is, in words, for whoever has to find it. */
import type { RuntimeFiber } from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"

/** The annotation of the logs of whatever the simulation starts, which all that is forked from it inherits. */
export const annotation = "simulated"

/** An actor, or what the simulation has started; and the span that it is in. */
export const who = (fiber: RuntimeFiber<unknown, unknown> | undefined): string => {
  if (!fiber) return "the network or the store"
  const annotations = fiber.getFiberRef(FiberRef.currentLogAnnotations)
  const [actor, key, started] = ["actor", "key", annotation].map((name) =>
    Option.getOrUndefined(HashMap.get(annotations, name))
  )
  const name = actor === undefined ? started ?? "a fiber" : `${actor}/${key}`
  const span = fiber.currentSpan
  return span?._tag === "Span" ? `${name} in ${span.name}` : `${name}`
}

/** Some of them, the most frequent first, and how many there are of each. */
export const most = (all: Iterable<RuntimeFiber<unknown, unknown> | undefined>): string => {
  const counts = new Map<string, number>()
  for (const fiber of all) {
    const name = who(fiber)
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return Array.from(counts)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 3)
    .map(([name, count]) => count === 1 ? name : `${name} (${count} times)`)
    .join(", ")
}
