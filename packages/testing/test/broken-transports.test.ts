/** Transports that are wrong, each in one way: the laws of transports find them all. */
import { assert, describe, it } from "@effect/vitest"
import { type Link, Transport } from "@troupe/contract"
import { MemoryTransport } from "@troupe/testing"
import * as TransportLaws from "@troupe/testing/TransportLaws"
import { Context, Effect, Exit, Layer, Scope } from "effect"

type Dial = Transport.Transport["Type"]["dial"]
type Listen = TransportLaws.Harness["listen"]

/** What is changed of a transport: what each side of each link does, and hears, and how links are opened. */
interface Changes {
  readonly link?: (link: Link.Link) => Partial<Link.Link>
  readonly handler?: (handler: Link.LinkHandler) => Partial<Link.LinkHandler>
  readonly dial?: (dial: Dial) => Dial
  readonly listen?: (listen: Listen) => Listen
  readonly unreachable?: Dial
}

/** Each text becomes so many others. */
const texts = (change: (text: string, index: number) => ReadonlyArray<string>): Changes => ({
  handler: ({ onMessage }) => {
    let index = 0
    return { onMessage: (text) => change(text, index++).forEach(onMessage) }
  }
})

/** A close is heard in another way. */
const closes = (hear: (handler: Link.LinkHandler, event: Link.CloseEvent) => void): Changes => ({
  handler: (handler) => ({ onClose: (event) => hear(handler, event) })
})

/** Lets sockets have their turn. */
const turn = Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void)))

const unreachable = (error: Effect.Effect<never, Transport.DialError>): Changes => ({ unreachable: () => error })

const broken: Record<string, Changes> = {
  "loses a text": texts((text, index) => index === 150 ? [] : [text]),
  "loses the first text": texts((text, index) => index === 0 ? [] : [text]),
  "gives a text twice": texts((text, index) => index === 150 ? [text, text] : [text]),
  "gives the last text twice": {
    handler: ({ onClose, onMessage }) => {
      let last = ""
      return {
        onMessage: (text) => onMessage(last = text),
        onClose: (event) => {
          if (last !== "") onMessage(last)
          onClose(event)
        }
      }
    }
  },
  "changes the order of two texts": {
    handler: ({ onMessage }) => {
      const held: Array<string> = []
      let index = 0
      return {
        onMessage: (text) => {
          if (index++ === 100) held.push(text)
          else [text, ...held.splice(0)].forEach(onMessage)
        }
      }
    }
  },
  "loses empty texts": texts((text) => text === "" ? [] : [text]),
  "shortens long texts": texts((text) => [text.slice(0, 1_000_000)]),
  "carries ASCII only": texts((text) => [text.replaceAll(/[\u0080-\uffff]/g, "?")]),
  "takes a byte order mark away": texts((text) => [text.replace(/^\ufeff/, "")]),
  "makes a text of each line": texts((text) => text.split("\n")),
  "loses what is sent before an answer to a dial": {
    dial: (dial) => (handler) =>
      Effect.suspend(() => {
        let isOpen = false
        const deaf = { ...handler, onMessage: (text: string) => isOpen && handler.onMessage(text) }
        return Effect.tap(Effect.zipLeft(dial(deaf), Effect.yieldNow()), () => {
          isOpen = true
        })
      })
  },
  "reads on when it is not to": { link: ({ setReading }) => setReading ? { setReading: () => {} } : {} },
  "does not read again": {
    link: ({ setReading }) => setReading ? { setReading: (reading) => reading || setReading(false) } : {}
  },
  "always has something buffered": { link: () => ({ buffered: () => 1 }) },
  "throws when something is sent after the close": {
    link: ({ close, send }) => {
      let isOpen = true
      return {
        send: (text) => {
          if (!isOpen) throw new Error("closed")
          send(text)
        },
        close: (code, reason) => {
          isOpen = false
          close(code, reason)
        }
      }
    }
  },
  "throws at long reasons": {
    link: ({ close }) => ({
      close: (code, reason) => {
        if (reason.length > 123) throw new Error("too long")
        close(code, reason)
      }
    })
  },
  "closes at once, and loses what was sent before": {
    link: ({ close, send }) => {
      const sent: Array<string> = []
      let isOpen = true
      return {
        send: (text) => {
          sent.push(text)
          queueMicrotask(() => isOpen && send(sent.shift()!))
        },
        close: (code, reason) => {
          isOpen = false
          close(code, reason)
        }
      }
    }
  },
  "hears texts after the close": {
    handler: ({ onClose, onMessage }) => ({
      onClose: (event) => {
        onClose(event)
        // as an emitter does that has no use for an error of a listener
        try {
          onMessage("late")
        } catch {}
      }
    })
  },
  "hears no close": closes(() => {}),
  "hears the closes of the other side only": {
    handler: ({ onClose }) => ({ onClose: (event) => event.reason === "" ? undefined : onClose(event) })
  },
  "hears a close twice": closes(({ onClose }, event) => {
    onClose(event)
    onClose(event)
  }),
  "hears a close twice, the second time later": closes(({ onClose }, event) => {
    onClose(event)
    queueMicrotask(() => onClose(event))
  }),
  "forgets the code of a close": closes(({ onClose }, { reason }) => onClose({ code: 1006, reason })),
  "forgets the reason of a close": closes(({ onClose }, { code }) => onClose({ code, reason: "" })),
  "never opens a link": { dial: () => () => Effect.never },
  "does not close a link at the end of its scope": {
    dial: (dial) => (handler) => Effect.flatMap(Scope.make(), (scope) => Scope.extend(dial(handler), scope))
  },
  "leaves a link behind when a dial is interrupted": {
    dial: (dial) => (handler) =>
      Effect.flatMap(Scope.make(), (scope) =>
        Scope.extend(dial(handler), scope).pipe(
          Effect.zipLeft(Effect.repeatN(turn, 3)),
          Effect.tap(() => Effect.addFinalizer((exit) => Scope.close(scope, exit)))
        ))
  },
  "is never accepted": { listen: () => () => Effect.void },
  "closes all links with one of them": (() => {
    const all = new Set<Link.Link>()
    return {
      link: (link) => {
        all.add(link)
        return { close: (code, reason) => all.forEach((each) => each.close(code, reason)) }
      }
    }
  })(),
  "gives what one link is sent to another one": (() => {
    let latest: Link.LinkHandler | undefined
    return {
      handler: (handler) => {
        latest = handler
        return { onMessage: (text) => latest!.onMessage(text) }
      }
    }
  })(),
  "does not say that nobody listens": unreachable(Effect.never),
  "does not say why it fails": unreachable(new Transport.DialError({ message: "[object Object]" }))
}

const changed = <A extends object>(whole: A, change: (whole: A) => Partial<A> = () => ({})): A => ({
  ...whole,
  ...change(whole)
})

/** The transport in memory, changed. */
const harness = ({ dial = (dial) => dial, handler, link, listen = (listen) => listen }: Changes) =>
  Effect.map(Layer.build(MemoryTransport.layer), (context): TransportLaws.Harness => {
    const transport = Context.get(context, Transport.Transport)
    const network = Context.get(context, MemoryTransport.MemoryNetwork)
    return {
      transport: {
        ...transport,
        dial: dial((mine) => Effect.map(transport.dial(changed(mine, handler)), (mine) => changed(mine, link)))
      },
      listen: listen((accept) =>
        network.listen((mine, request) => changed(accept(changed(mine, link), request), handler))
      )
    }
  })

/** What is never to come is not waited for long; what comes may take its time, where the machine is busy. */
const subject = (changes: Changes, patienceMillis: number): TransportLaws.Subject => ({
  make: harness(changes),
  unreachable: Effect.map(
    harness(changes),
    ({ transport }) => ({ ...transport, dial: changes.unreachable ?? transport.dial })
  ),
  patienceMillis
})

/** The laws that a transport does not keep to. */
const brokenBy = (changes: Changes, patienceMillis = 10_000) =>
  Effect.filter(
    TransportLaws.laws(subject(changes, patienceMillis)),
    ({ check }) => Effect.map(Effect.exit(Effect.scoped(check)), Exit.isFailure),
    { concurrency: "unbounded" }
  )

describe("the laws of transports find one that", () => {
  for (const [what, changes] of Object.entries(broken)) {
    it.effect(what, () => Effect.map(brokenBy(changes, 100), (laws) => assert.isNotEmpty(laws)))
  }

  it.effect("and none that fails in its own words", () =>
    Effect.map(
      brokenBy(unreachable(new Transport.DialError({ message: "connect ENOENT /run/troupe.sock" }))),
      (laws) => assert.isEmpty(laws)
    ))

  it.effect("and none that is right", () => Effect.map(brokenBy({}), (laws) => assert.isEmpty(laws)))
})
