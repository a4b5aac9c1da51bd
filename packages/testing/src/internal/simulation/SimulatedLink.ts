/**
 * One link of a simulation. Each direction has a pace of its own, keeps its order, and may fall silent; each side learns of
 * the end at a time of its own, or never.
 */
import type { ConnectRequest } from "@troupe/contract/Behavior"
import * as Link from "@troupe/contract/Link"
import { Sent, type Side } from "../Sent.ts"
import type { Dice } from "./Dice.ts"
import type { Faults } from "./Faults.ts"
import type { Trace } from "./Trace.ts"
import type { VirtualTime } from "./VirtualTime.ts"

export type Accept = (link: Link.Link, request: ConnectRequest) => Link.LinkHandler

/** What a link asks of the network. */
export interface Surroundings {
  readonly time: VirtualTime
  readonly dice: Dice
  readonly trace: Trace
  readonly faults: () => Faults
  readonly onMessage: (sent: Sent) => void
}

const lost: Link.CloseEvent = { code: Link.codeAbnormal, reason: "lost" }

/** How long a side takes to learn that a link is lost, if it does. */
const noticeMax = 3000

/** How long a direction may stand still. */
const stallMax = 5000

/** Of a slow direction. */
const slowBytesPerMilli = 2

const other = (side: Side): Side => side === "client" ? "server" : "client"

/** What one side sends, on its way. */
class Direction {
  /** Carries nothing any more. */
  silent = false
  buffered = 0
  private lastArrival = 0
  /** What is on its way, in order. */
  private readonly onWay: Array<{ readonly bytes: number; readonly arrive: () => void }> = []
  /** Until then nothing arrives. */
  private heldUntil = 0

  constructor(private readonly around: Surroundings, private readonly bytesPerMilli: number) {}

  /** Something travels, and arrives after all that was sent before, unless it is lost. */
  travel(bytes: number, arrive: () => void): void {
    const { dice, faults, time } = this.around
    const took = bytes / this.bytesPerMilli + (dice.happens(faults().stall) ? dice.between(0, stallMax) : 0)
    const at = Math.max(this.lastArrival, time.now + dice.between(0, faults().latencyMax)) + took
    this.lastArrival = at
    this.buffered += bytes
    this.onWay.push({ bytes, arrive })
    time.after(at - time.now, this.arriveInTime)
  }

  /** It is time for one more to arrive: the first, whichever was to come now before the clock jumped. */
  private readonly arriveInTime = (): void => {
    const { time } = this.around
    if (time.now < this.heldUntil) return void time.after(this.heldUntil - time.now, this.arriveInTime)
    const { bytes, arrive } = this.onWay.shift()!
    this.buffered -= bytes
    if (!this.silent) arrive()
  }

  /** What is on its way comes late, and in order. */
  hold(millis: number): void {
    this.heldUntil = Math.max(this.heldUntil, this.around.time.now + millis)
  }
}

export class SimulatedLink {
  readonly client: Link.Link
  private readonly handlers: { readonly [S in Side]: Link.LinkHandler }
  private readonly directions: { readonly [S in Side]: Direction }
  /** The sides that know of its end, or have brought it about. */
  private readonly closed = new Set<Side>()
  private readonly told = new Set<Side>()
  /** What has arrived at a server that does not read. */
  private unread: Array<() => void> | undefined

  constructor(
    readonly name: string,
    private readonly around: Surroundings,
    clientHandler: Link.LinkHandler,
    accept: Accept,
    request: ConnectRequest
  ) {
    const pace = () => around.dice.happens(around.faults().slow) ? slowBytesPerMilli : Infinity
    this.directions = { client: new Direction(around, pace()), server: new Direction(around, pace()) }
    this.client = this.end("client")
    this.handlers = { client: clientHandler, server: accept(this.end("server"), request) }
  }

  /** Whether both sides know of its end. */
  get over(): boolean {
    return this.told.size === 2
  }

  private end(side: Side): Link.Link {
    return {
      send: (text) => this.send(side, text),
      close: (code, reason) => this.close(side, { code, reason }),
      buffered: () => this.directions[side].buffered,
      ...(side === "server" ? { setReading: this.setReading } : {})
    }
  }

  private send(from: Side, text: string): void {
    if (this.closed.has(from)) return
    this.around.onMessage(new Sent(from, text))
    this.directions[from].travel(text.length, () => this.arrive(from, text))
  }

  private arrive(from: Side, text: string): void {
    if (from === "client" && this.unread) return void this.unread.push(() => this.arrive(from, text))
    const { dice, faults, trace } = this.around
    const to = other(from)
    if (this.closed.has(to)) return
    const { cut, silence } = faults()
    const isCut = dice.happens(cut)
    const isLost = isCut && dice.happens(0.5)
    trace.add(this.name, `${from === "client" ? ">" : "<"} ${isLost ? "lost " : ""}${text}`)
    // what comes after it is lost too
    if (isLost) this.directions[from].silent = true
    else this.handlers[to].onMessage(text)
    if (isCut) this.cut()
    if (dice.happens(silence)) this.fallSilent()
  }

  private readonly setReading = (reading: boolean): void => {
    const unread = this.unread ?? []
    this.unread = reading ? undefined : unread
    if (reading) { for (const arrive of unread) arrive() }
  }

  /** A side gives it up. The other one is told, after all that was sent before. */
  private close(side: Side, event: Link.CloseEvent): void {
    if (this.closed.has(side)) return
    this.closed.add(side)
    this.around.time.after(0, () => this.tell(side, event))
    this.directions[side].travel(0, () => this.tell(other(side), event))
  }

  private tell(side: Side, event: Link.CloseEvent): void {
    this.closed.add(side)
    if (this.told.has(side)) return
    this.told.add(side)
    this.around.trace.add(this.name, `the ${side} sees it close: ${event.code}`)
    this.handlers[side].onClose(event)
  }

  /** It is lost: what is on its way may still arrive, and each side may learn of it or not. */
  cut(): void {
    const { dice, time } = this.around
    for (const side of ["client", "server"] as const) {
      if (dice.happens(0.6)) this.directions[side].silent = true
      else this.directions[side].hold(dice.between(0, stallMax))
      if (dice.happens(0.8)) time.after(dice.between(0, noticeMax), () => this.tell(side, lost))
    }
  }

  /** It carries nothing, in one direction or both, and nobody is told. */
  fallSilent(): void {
    const { dice } = this.around
    this.silence(dice.pick([["client"], ["server"], ["client", "server"]] as const))
  }

  silence(sides: ReadonlyArray<Side>): void {
    this.around.trace.add(this.name, `silent: ${sides.join()}`)
    for (const side of sides) this.directions[side].silent = true
  }
}
