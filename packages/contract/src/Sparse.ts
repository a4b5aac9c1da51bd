/**
 * Maps and sets that take no memory while they are empty, and little for one entry. Actors and connections have a dozen for
 * what may happen to them one day, or happens once; a `Map` takes 200 bytes from its first entry on, and empty as well.
 *
 * What is set while one is iterated may not be among what is given.
 */

class Entry<K, V> {
  constructor(
    readonly key: K,
    public value: V
  ) {}
}

abstract class Sparse<K, V> {
  /** A `Map` from the second entry on, until it is empty. */
  protected held: Map<K, V> | Entry<K, V> | undefined

  get size(): number {
    const { held } = this
    if (held === undefined) return 0
    return held instanceof Entry ? 1 : held.size
  }

  has(key: K): boolean {
    const { held } = this
    if (held === undefined) return false
    return held instanceof Entry ? held.key === key : held.has(key)
  }

  /** Whether it was there. */
  delete(key: K): boolean {
    const { held } = this
    if (held === undefined) return false
    if (held instanceof Entry ? held.key !== key : !held.delete(key)) return false
    if (held instanceof Entry || held.size === 0) this.held = undefined
    return true
  }

  clear(): void {
    this.held = undefined
  }

  keys(): Iterable<K> {
    const { held } = this
    if (held === undefined) return []
    return held instanceof Entry ? [held.key] : held.keys()
  }

  protected put(key: K, value: V): void {
    const { held } = this
    if (held === undefined) this.held = new Entry(key, value)
    else if (!(held instanceof Entry)) held.set(key, value)
    else if (held.key === key) held.value = value
    else this.held = new Map([[held.key, held.value], [key, value]])
  }
}

export class SparseMap<K, V> extends Sparse<K, V> {
  get(key: K): V | undefined {
    const { held } = this
    if (held === undefined) return undefined
    if (held instanceof Entry) return held.key === key ? held.value : undefined
    return held.get(key)
  }

  set(key: K, value: V): void {
    this.put(key, value)
  }

  values(): Iterable<V> {
    const { held } = this
    if (held === undefined) return []
    return held instanceof Entry ? [held.value] : held.values()
  }

  *[Symbol.iterator](): Iterator<readonly [key: K, value: V]> {
    const { held } = this
    if (held instanceof Entry) yield [held.key, held.value]
    else if (held !== undefined) yield* held
  }
}

export class SparseSet<A> extends Sparse<A, undefined> {
  add(value: A): void {
    this.put(value, undefined)
  }

  [Symbol.iterator](): Iterator<A> {
    return this.keys()[Symbol.iterator]()
  }
}
