/**
 * What is not left to chance, so that what rarely comes together does. Each seed has a theme; most have the first one.
 */
import type { Gateway, HostOptions } from "@troupe/server"
import type { Simulation } from "@troupe/testing"
import type { Duration } from "effect"
import type { ClientKind } from "./History.ts"
import type { Manners } from "./Log.ts"

export type Weights = ReadonlyArray<readonly [kind: ClientKind, weight: number]>

/** Probabilities lie between 0 and 1. */
export interface Theme {
  /** What is not drawn for each seed. */
  readonly faults: Partial<Simulation.Faults>
  /** How long things go wrong. */
  readonly faultsFor: Duration.DurationInput
  readonly host: HostOptions.Options
  readonly gateway: Omit<Gateway.Options, "actors">
  /** The kinds of calls, by how often they are made. */
  readonly kinds: Weights
  /** How often a client waits before its next call. */
  readonly idling: number
  /** How often a caller does not wait for ever. */
  readonly impatience: number
  /** How often a client goes away between two calls, and for how many milliseconds at most. */
  readonly absences: { readonly chance: number; readonly millisMax: number }
  readonly manners: Manners
  /** How often a client goes to a log, if it is shown out before the last time. */
  readonly visits: number
  /** Whether clients subscribe and unsubscribe all the time. */
  readonly restless: boolean
  /** How many calls a backend makes in each life of a host. */
  readonly errands: number
  readonly logsMin: number
  readonly logsMax: number
  readonly clientsMin: number
  readonly hostsMax: number
  /** If nothing but links fails: every connection is resumed. */
  readonly resumes: boolean
  /** If nothing but links fails: actors stay in memory. */
  readonly stays: boolean
}

/** Nothing but links. */
const linksOnly = {
  storeError: 0,
  storeLoss: 0,
  storeHang: 0,
  crashMean: 0,
  stopMean: 0,
  switchMean: 0,
  jumpMean: 0
}

/** Links end, and nothing else is wrong with them. */
const cutsOnly = { silence: 0, slow: 0, refusal: 0, hang: 0 }

const anything: Theme = {
  faults: {},
  faultsFor: "1 minute",
  host: {},
  gateway: {},
  kinds: [
    ["Add", 40],
    ["Refuse", 6],
    ["AddIfOdd", 8],
    ["Poison", 2],
    ["Forward", 14],
    ["AddOnce", 6],
    ["AddAgain", 6],
    ["AddLater", 4],
    ["AddBeside", 4],
    ["Length", 12],
    ["Follow", 6]
  ],
  idling: 0.7,
  impatience: 0.15,
  absences: { chance: 0.03, millisMax: 5000 },
  manners: { durability: "commit", hesitation: 0, farewells: false },
  visits: 1,
  restless: false,
  errands: 0,
  logsMin: 1,
  logsMax: 3,
  clientsMin: 1,
  hostsMax: 2,
  resumes: true,
  stays: false
}

/** What cannot be stored would be the end of an activation: more than a link. */
const withoutPoison = anything.kinds.map(([kind, weight]) => [kind === "Poison" ? "Add" : kind, weight] as const)

/** Calls that last, whose clients come back again and again on another connection. */
const lasting: Theme = {
  ...anything,
  faults: { ...cutsOnly, latencyMax: 1000, cut: 0.1 },
  faultsFor: "4 minutes",
  host: { resumeWindow: "1 second" },
  kinds: [["Add", 30], ["Follow", 15], ["Count", 35], ["AddBeside", 20]],
  absences: { chance: 0.5, millisMax: 8000 },
  logsMax: 2,
  clientsMin: 3,
  resumes: false
}

/** Backends call, timers are set and set again, ends of connections leave something, subscriptions come and go. */
const bustle: Theme = {
  ...anything,
  faults: { ...cutsOnly, latencyMax: 200, cut: 0.05, slow: 0.5 },
  host: { resumeWindow: "5 seconds", idleTimeout: "3 seconds" },
  // who does not keep up, if only for a moment, finds the newest
  gateway: { latestBufferedBytesMax: 100 },
  kinds: [...withoutPoison, ["SetTimer", 25], ["CancelTimer", 10]],
  absences: { chance: 0.2, millisMax: 8000 },
  manners: { ...anything.manners, farewells: true },
  restless: true,
  errands: 6,
  clientsMin: 2,
  resumes: false
}

export const themes = {
  anything,
  /** Only links fail. */
  links: { ...anything, kinds: withoutPoison, faults: linksOnly },
  /** Nobody is reached for long. */
  outage: { ...anything, kinds: withoutPoison, faults: { ...linksOnly, refusal: 1 }, faultsFor: "10 minutes" },
  /** What is on its way comes late, and its client has gone on. */
  late: {
    ...anything,
    faults: { ...cutsOnly, latencyMax: 20, stall: 0.5, cut: 0.02, storeLoss: 0.7 },
    absences: { chance: 0.4, millisMax: 300 }
  },
  /** Calls are given up while they are committed, and clients come back when nobody expects them any more. */
  impatience: {
    ...anything,
    faults: { ...cutsOnly, latencyMax: 50, cut: 0.03, storeHang: 0.1, storeLatencyMax: 500, crashMean: 10_000 },
    host: { resumeWindow: "5 seconds" },
    idling: 0.4,
    impatience: 0.6,
    absences: { chance: 0.2, millisMax: 20_000 },
    logsMax: 2,
    clientsMin: 3,
    resumes: false
  },
  /** Calls last, their clients open connections anew, and the actors, with what was begun, stay. */
  streams: {
    ...lasting,
    faults: { ...lasting.faults, ...linksOnly },
    host: { ...lasting.host, idleTimeout: "1 hour" },
    kinds: [["Add", 10], ["Follow", 10], ["Count", 70], ["AddBeside", 10]],
    stays: true
  },
  /** Calls last, and all at once it is hours later: what was kept of them is forgotten. */
  hours: { ...lasting, faults: { ...lasting.faults, jumpMean: 20_000, jumpMax: 20_000_000 } },
  /** Actors disconnect their clients, some of whom are away, do not hear it, and come back when it is not remembered. */
  dismissal: {
    ...anything,
    faults: { ...cutsOnly, latencyMax: 200, cut: 0.05 },
    host: { resumeWindow: "1 second" },
    kinds: [["Add", 40], ["Refuse", 5], ["Forward", 10], ["AddBeside", 15], ["Count", 15], ["Follow", 5], [
      "Dismiss",
      10
    ]],
    absences: { chance: 0.3, millisMax: 8000 },
    logsMax: 2,
    clientsMin: 3,
    resumes: false
  },
  /** `onConnect` takes its time and dies, while clients have gone on. */
  doors: {
    ...anything,
    faults: { ...cutsOnly, latencyMax: 200, cut: 0.1 },
    host: { resumeWindow: "1 second", idleTimeout: "2 seconds" },
    absences: { chance: 0.4, millisMax: 3000 },
    manners: { ...anything.manners, hesitation: 0.5 },
    logsMax: 2,
    clientsMin: 2,
    resumes: false
  },
  bustle,
  /** Logs are kept in memory only, where they go to sleep and wake; nothing but links fails, and hours pass at once. */
  volatile: {
    ...bustle,
    faults: { ...bustle.faults, ...linksOnly, jumpMean: 30_000, jumpMax: 4_000_000 },
    manners: { ...bustle.manners, durability: "memory" },
    hostsMax: 1
  },
  /** Logs end, and begin anew. */
  lives: {
    ...bustle,
    faults: { ...bustle.faults, storeLoss: 0.2 },
    kinds: [["Add", 30], ["Refuse", 3], ["Forward", 15], ["AddBeside", 10], ["AddLater", 5], ["SetTimer", 5], [
      "Count",
      10
    ], [
      "End",
      15
    ]],
    visits: 4,
    logsMin: 2
  }
} satisfies Record<string, Theme>

export type Name = keyof typeof themes

export const names = Object.keys(themes) as ReadonlyArray<Name>

export const of = (seed: number): Name => {
  if (seed % 8 === 3) return "links"
  if (seed % 8 >= 6) return "late"
  switch (seed % 32) {
    case 5:
      return "outage"
    case 12:
      return "bustle"
    case 24:
      return "volatile"
    case 28:
      return "lives"
    case 9:
      return "dismissal"
    case 13:
      return "impatience"
    case 17:
      return "doors"
    case 21:
      return "streams"
    case 29:
      return "hours"
    default:
      return "anything"
  }
}
