/** What a client process writes for each of its calls that has ended. */
export interface Answer {
  /** Of the ledger. */
  readonly key: string
  /** What was to be written down; each is asked for once. The letters before the `-` are those of a queue of calls. */
  readonly entry: string
  /**
   * `"declined"`: it failed, as it should, and must have left nothing. `"unknown"`: the caller was told that it may have
   * taken effect; such calls are not sent again.
   */
  readonly end: "done" | "declined" | "unknown"
  /** The place in the ledger it was told, counted from 1. */
  readonly ledger?: number
  /** The same in the journal, if it was for both. */
  readonly journal?: number
  /**
   * The same on the slip, if it was for that too, and what stood on the present one if it was full and was torn up then. After
   * a kill others may have torn up the one that the entry is on.
   */
  readonly slip?: number
  readonly torn?: ReadonlyArray<string>
  /** What a stream has told of: the entries up to its own, in the order they came. */
  readonly tail?: ReadonlyArray<string>
}

/** What ledger, journal and slip of a key hold in the end. */
export interface Held {
  readonly key: string
  readonly ledger: ReadonlyArray<string>
  readonly journal: ReadonlyArray<string>
  readonly slip: ReadonlyArray<string>
}
