/** What a proxy can be told to do. */
import type * as Duration from "effect/Duration"
import * as Checked from "../Checked.ts"

/** What clients say goes to the server, what servers say to the client. */
export type Direction = "toServer" | "toClient"

/** What is carried, and how fast. */
export interface Conditions {
  /** How long everything is on its way. Default: 0. */
  readonly latency?: Duration.DurationInput
  /** Up to how much longer that takes, drawn for each piece. Nothing overtakes anything. Default: 0. */
  readonly jitter?: Duration.DurationInput
  /** How many bytes of one connection are carried in a second, at least 1. Default: any number. */
  readonly bytesPerSecond?: number
  /** How many bytes are sent together at most, at least 1: then each in a packet of its own. Default: any number. */
  readonly sliceBytesMax?: number
}

/** A cut at a certain byte. */
export interface CutAfter {
  readonly direction: Direction
  /** So many bytes of this direction are carried, and not one more. With 0, it is cut at once. */
  readonly bytes: number
  /** `"reset"`: both sides see an error. `"close"`: both see an orderly end. Default: `"reset"`. */
  readonly by?: "reset" | "close"
}

/** Cuts at random points, drawn for each connection. All are upper bounds of a uniform draw. */
export interface RandomCuts {
  /** After so many bytes, of both directions together. Default: no such cut. */
  readonly bytesMax?: number
  /** After so many milliseconds. Default: no such cut. */
  readonly millisMax?: number
  /** How many of the cuts lose what the server says first, from 0 to 1. Default: 0.5. */
  readonly deafShare?: number
  /** For how many milliseconds such a connection still carries what the client says. Default: 50. */
  readonly deafMillisMax?: number
}

/** Of a proxy. */
export interface Options {
  /**
   * The port in front of which it stands. A function is asked for each connection; if it throws, or knows none, the client
   * is reset, as where nobody listens.
   */
  readonly target: number | (() => number)
  /** Where it listens, and where the server does. Default: 127.0.0.1. */
  readonly host?: string
  /** The port on which it listens. Default: any free one. */
  readonly port?: number
  /** Of all that is drawn. A whole number from 0 on. Default: 1. */
  readonly seed?: number
  /** How much it keeps of one direction of one connection; more waits where it comes from. Default: 256 KiB. */
  readonly bufferBytesMax?: number
}

// --- what makes no sense is refused: these throw ------------------------------------------------------------------------

const portMax = 65_535

export const checkOptions = ({ bufferBytesMax = Infinity, port = 0, seed = 1, target }: Options): void => {
  if (typeof target === "number") Checked.whole("target", target, 1, portMax)
  Checked.whole("port", port, 0, portMax)
  Checked.seed(seed)
  Checked.bound("bufferBytesMax", bufferBytesMax)
}

export const checkConditions = (
  { bytesPerSecond = Infinity, jitter = 0, latency = 0, sliceBytesMax = Infinity }: Conditions
): void => {
  Checked.millis("latency", latency)
  Checked.millis("jitter", jitter)
  Checked.bound("bytesPerSecond", bytesPerSecond)
  Checked.bound("sliceBytesMax", sliceBytesMax)
}

export const checkCutAfter = ({ bytes }: CutAfter): void => {
  Checked.whole("bytes", bytes, 0)
}

export const checkRandomCuts = (
  { bytesMax = 0, deafMillisMax = 0, deafShare = 0, millisMax = 0 }: RandomCuts
): void => {
  Checked.whole("bytesMax", bytesMax, 0)
  Checked.number("millisMax", millisMax)
  Checked.probability("deafShare", deafShare)
  Checked.number("deafMillisMax", deafMillisMax)
}
