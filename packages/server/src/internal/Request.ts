/**
 * What a turn is run for, under a name that is the same when it is run again after a crash: the idempotency key of what its
 * handler does elsewhere, and the root of the names of the calls it makes to other actors.
 */
import { sha256 } from "@noble/hashes/sha2"
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils"
import { type Address, idOf } from "@troupe/contract/Address"

/** A call to another actor that its callee remembers, until it is told that it will not be made again. */
export interface MadeCall {
  readonly callee: Address
  readonly id: string
  /** Whether the caller has learned how it has ended, or does not want to know any more. */
  ended: boolean
  /** Whether it will not be made again: the callee is told when it has ended. */
  settled: boolean
}

/** 128 bits of SHA-256, in hexadecimal digits: nobody finds two texts with one digest, nor the text of one. */
const digest = (text: string): string => bytesToHex(sha256(utf8ToBytes(text)).subarray(0, 16))

export class Request {
  /** The calls it has made to other actors, in order. */
  readonly made: Array<MadeCall> = []
  private readonly ordinals = new Map<string, number>()
  private digested: string | undefined

  private constructor(
    /** Evaluated once, if at all. */
    private readonly seed: () => string,
    /** Whether it can be run again under the same name. */
    readonly repeatable: boolean,
    /**
     * Until when, in milliseconds since the epoch, actors that an earlier run has called are sure to remember. Infinite if
     * there was none, and for alarms, which are tried again for as long as it takes.
     */
    readonly rememberedUntil = Infinity,
    /** An earlier run has failed. What has succeeded elsewhere is not done again in this one; what has failed there is. */
    readonly retried = false
  ) {}

  /** A client's call. */
  static ofCall = (session: string, number: number, rememberedUntil: number): Request =>
    new Request(() => `call ${session} ${number}`, true, rememberedUntil)

  /** A call of another actor that has a name of its own. */
  static ofId = (id: string, rememberedUntil: number, retried: boolean): Request =>
    new Request(() => `derived ${id}`, true, rememberedUntil, retried)

  /** The same, if nothing is remembered of it: it is the same call whenever it is made again, and so are not those it makes. */
  static ofRepeated = (id: string): Request => new Request(() => `derived ${id}`, false)

  /** The firing of an alarm, however often it is tried. */
  static ofAlarm = (address: Address, firing: string, retried: boolean): Request =>
    new Request(() => `alarm ${firing} ${idOf(address)}`, true, Infinity, retried)

  /** A call that nobody will repeat. */
  static once = (secret: () => string): Request => new Request(() => `once ${secret()}`, false)

  get id(): string {
    return this.digested ??= digest(this.seed())
  }

  /**
   * Names a call to another actor after what it is: whom it calls, with what, and how many of the same came before it. So a
   * handler that is run again names its calls as before, also if it makes them in another order.
   */
  derive(callee: Address, tag: string, payload: string): string {
    const what = digest(JSON.stringify([this.id, idOf(callee), tag, payload]))
    const ordinal = this.ordinals.get(what) ?? 0
    this.ordinals.set(what, ordinal + 1)
    return ordinal === 0 ? what : digest(`${what} ${ordinal}`)
  }

  /** Remembers a call that is made now. */
  begin(callee: Address, id: string): MadeCall {
    const made: MadeCall = { callee, id, ended: false, settled: false }
    this.made.push(made)
    return made
  }
}
