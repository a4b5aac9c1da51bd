/**
 * Where links end: greets clients, and moves frames between links and connections. It holds nothing that matters: when a
 * link is gone, the connections that were on it wait to be resumed elsewhere.
 */
import * as Background from "@troupe/contract/Background"
import type { ConnectRequest } from "@troupe/contract/Behavior"
import type { Any } from "@troupe/contract/Definition"
import { Expiry } from "@troupe/contract/Expiry"
import { Flush } from "@troupe/contract/Flush"
import * as Link from "@troupe/contract/Link"
import { withDefaults } from "@troupe/contract/Options"
import { greetingBytesMax } from "@troupe/contract/protocol/Frame"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Connections } from "./Connections.ts"
import { GatewayLink, type GatewayServices } from "./internal/GatewayLink.ts"
import { toMillis } from "./internal/Limits.ts"
import { Spread } from "./internal/Spread.ts"

/** What a gateway can be told. Every field but `actors` has a default. */
export interface Options {
  /** The contracts that can be reached; all others are refused. */
  readonly actors: ReadonlyArray<Any>
  /** How often a client should send something. Default: 15 seconds. */
  readonly heartbeat?: Duration.DurationInput
  /** After which silence a link is closed. Default: 30 seconds. */
  readonly silence?: Duration.DurationInput
  /** How long a link may stand without a connection. Default: 10 seconds. */
  readonly openTimeout?: Duration.DurationInput
  /** How long a message of a client may be, in bytes. Default: 1 MiB. */
  readonly messageBytesMax?: number
  /** The same, while no connection stands on the link: at least 1 KiB. Default: 16 KiB. */
  readonly openBytesMax?: number
  /**
   * How much may wait in a socket for a client that does not read, in bytes, for each connection on the link. Over it, the
   * link is closed. It should be larger than the host's `outboxBytesMax` and `outputBytesMax` together. Default: 8 MiB.
   */
  readonly bufferedBytesMax?: number
  /**
   * While more than this waits in a socket, in bytes, its client does not keep up: events of which only the latest counts
   * are held back, and the newest of each sender is sent when there is room. Default: 64 KiB.
   */
  readonly latestBufferedBytesMax?: number
  /** How often a socket is looked at on which events are held back. Default: 50 milliseconds. */
  readonly latestRetry?: Duration.DurationInput
  /** How many connections one link may carry. Default: 256. */
  readonly connectionsMax?: number
  /** How many frames of a client are read from one link in a second; more wait in the network. Default: any number. */
  readonly framesPerSecond?: number
  /** How often one link may be refused a connection in a second; then it waits before the next is tried. Default: 10. */
  readonly refusalsPerSecond?: number
  /** What a draining server tells its clients to wait before they come back. Default: 0. */
  readonly retryAfter?: Duration.DurationInput
  /**
   * How many links a draining server lets come back in a second: each is told to wait a little longer than the one before,
   * so that they do not all stand before the next server at once. Default: 1000.
   */
  readonly returnsPerSecond?: number
  /** How long a draining server waits for calls in flight. Default: 10 seconds. */
  readonly drainTimeout?: Duration.DurationInput
}

/** The defaults of `Options`. */
export const defaults: Required<Omit<Options, "actors">> = {
  heartbeat: "15 seconds",
  silence: "30 seconds",
  openTimeout: "10 seconds",
  messageBytesMax: 1024 * 1024,
  openBytesMax: 16 * 1024,
  bufferedBytesMax: 8 * 1024 * 1024,
  latestBufferedBytesMax: 64 * 1024,
  latestRetry: "50 millis",
  connectionsMax: 256,
  framesPerSecond: Infinity,
  refusalsPerSecond: 10,
  retryAfter: 0,
  returnsPerSecond: 1000,
  drainTimeout: "10 seconds"
}

/** To how many links events are sent before others get their turn: a millisecond's worth. */
const eventLinksMax = 128

const goneLink: Link.LinkHandler = { onMessage: () => {}, onClose: () => {} }

/** Accepts links, until its scope closes: then clients are asked to go, and their calls in flight are waited for. */
export interface Gateway {
  /** How long a message may be, in bytes, while no connection stands on its link. */
  readonly openBytesMax: number
  readonly accept: (link: Link.Link, request: ConnectRequest) => Link.LinkHandler
}

/** A delay without end, as a number that JSON has. */
const neverMillis = Number.MAX_SAFE_INTEGER

/** A gateway to the actors of the host. */
export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<Gateway, never, Connections | Scope.Scope> {
  const limits = withDefaults(defaults, options)
  const clock = yield* Effect.clock
  const flush = yield* Flush
  const fork = yield* Background.fork
  const retryAfterMillis = toMillis(limits.retryAfter)
  const services: GatewayServices = {
    connections: yield* Connections,
    actors: new Set(options.actors.map(({ contract }) => contract)),
    clock,
    schedule: flush.schedule,
    scheduleEvents: new Spread(flush, eventLinksMax).schedule,
    fork,
    heartbeatMillis: toMillis(limits.heartbeat),
    silenceMillis: toMillis(limits.silence),
    openTimeoutMillis: toMillis(limits.openTimeout),
    messageBytesMax: Math.min(limits.messageBytesMax, Number.MAX_SAFE_INTEGER),
    openBytesMax: Math.min(Math.max(limits.openBytesMax, greetingBytesMax), Number.MAX_SAFE_INTEGER),
    bufferedBytesMax: limits.bufferedBytesMax,
    latestBufferedBytesMax: limits.latestBufferedBytesMax,
    behind: new Expiry(clock, fork, toMillis(limits.latestRetry)),
    connectionsMax: limits.connectionsMax,
    framesPerSecond: limits.framesPerSecond,
    refusalsPerSecond: limits.refusalsPerSecond
  }
  const links = new Set<GatewayLink>()
  /** Its scope has closed, and with it that of its actors: nobody may hear that there are none. */
  let gone = false

  /** Closes links that have been silent, or useless, for too long. Runs only while there are links. */
  let sweeping = false
  const sweepMillis = Math.min(services.openTimeoutMillis, services.silenceMillis) / 2
  const sweep: Effect.Effect<void> = Effect.suspend(() => {
    for (const link of links) link.checkLife()
    sweeping = links.size > 0
    return sweeping ? Effect.delay(sweep, sweepMillis) : Effect.void
  })
  const keepSweeping = () => {
    if (sweeping) return
    sweeping = true
    services.fork(Effect.delay(sweep, sweepMillis))
  }

  /** How many links wait for something that is in flight. */
  const busyLinks = () => Array.from(links).filter((link) => link.busy).length
  const awaitIdle: Effect.Effect<void> = Effect.suspend(() =>
    busyLinks() > 0 ? Effect.delay(awaitIdle, "10 millis") : Effect.void
  )
  /** With the loggers of its layer, and not of who closes it; and one that throws does not keep it from closing. */
  const log = (message: Effect.Effect<void>) => Effect.sync(() => void fork(message))
  const drained = Effect.suspend(() => {
    const busy = busyLinks()
    if (busy === 0) return Effect.void
    const { drainTimeout } = limits
    return Effect.zipRight(
      log(Effect.logInfo(
        `draining: calls are in flight on ${busy} of ${links.size} links, and may take ${Duration.format(drainTimeout)}`
      )),
      awaitIdle
    )
  })
  const onLate = Effect.suspend(() =>
    log(Effect.logWarning(`drainTimeout is over: ${busyLinks()} links are closed with calls in flight`))
  )
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      Array.from(links).forEach((link, i) =>
        link.goAway(
          Math.min(retryAfterMillis + (i === 0 ? 0 : Math.floor(i * 1000 / limits.returnsPerSecond)), neverMillis)
        )
      )
      // a finalizer cannot be interrupted unless it says so, and a timeout waits for what it cannot interrupt
      return Effect.interruptible(drained).pipe(
        Effect.timeoutTo({
          duration: limits.drainTimeout,
          onSuccess: () => Effect.void,
          onTimeout: () => onLate
        }),
        Effect.flatten,
        Effect.zipRight(Effect.sync(() => {
          gone = true
          for (const link of links) link.close(Link.codeGoAway, "the server is going away")
        }))
      )
    })
  )

  return {
    openBytesMax: services.openBytesMax,
    accept: (link, request) => {
      if (gone) {
        link.close(Link.codeGoAway, "the server is going away")
        return goneLink
      }
      const accepted = new GatewayLink(link, request, services, () => links.delete(accepted))
      links.add(accepted)
      keepSweeping()
      return accepted
    }
  }
})
