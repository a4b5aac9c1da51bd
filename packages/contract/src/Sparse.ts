/**
 * Maps and sets that take no memory while they are empty. Actors and connections have a dozen for what may happen to them
 * one day, and an empty `Map` takes 200 bytes.
 */

export class SparseMap<K, V> {
  private map: Map<K, V> | undefined

  get size(): number {
    return this.map === undefined ? 0 : this.map.size
  }

  get(key: K): V | undefined {
    return this.map?.get(key)
  }

  has(key: K): boolean {
    return this.map?.has(key) === true
  }

  set(key: K, value: V): void {
    this.map ??= new Map()
    this.map.set(key, value)
  }

  /** Whether it was there. */
  delete(key: K): boolean {
    if (!this.map?.delete(key)) return false
    if (this.map.size === 0) this.map = undefined
    return true
  }

  clear(): void {
    this.map = undefined
  }

  /** What is set meanwhile may not be among them. */
  values(): Iterable<V> {
    return this.map?.values() ?? []
  }

  /** What is set meanwhile may not be among them. */
  [Symbol.iterator](): Iterator<[K, V]> {
    return this.map?.[Symbol.iterator]() ?? [][Symbol.iterator]()
  }
}

export class SparseSet<A> {
  private set: Set<A> | undefined

  get size(): number {
    return this.set === undefined ? 0 : this.set.size
  }

  has(value: A): boolean {
    return this.set?.has(value) === true
  }

  add(value: A): void {
    this.set ??= new Set()
    this.set.add(value)
  }

  /** Whether it was there. */
  delete(value: A): boolean {
    if (!this.set?.delete(value)) return false
    if (this.set.size === 0) this.set = undefined
    return true
  }

  clear(): void {
    this.set = undefined
  }

  /** What is added meanwhile may not be among them. */
  [Symbol.iterator](): Iterator<A> {
    return this.set?.[Symbol.iterator]() ?? [][Symbol.iterator]()
  }
}
