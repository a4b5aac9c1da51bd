/** Transports that are wrong, each in one way. */
import { type Link, Transport } from "@troupe/contract"
import { MemoryTransport } from "@troupe/testing"
import type * as TransportLaws from "@troupe/testing/TransportLaws"
import { Context, Effect, Layer, Scope } from "effect"

type Dial = Transport.Transport["Type"]["dial"]
type ConnectRequest = Parameters<Parameters<Listen>[0]>[1]
type Listen = TransportLaws.Harness["listen"]

/** What is changed of a transport: what each side of each link does, and hears, and how links are opened. */
export interface Changes {
  readonly link?: (link: Link.Link) => Partial<Link.Link>
  readonly handler?: (handler: Link.LinkHandler) => Partial<Link.LinkHandler>
  readonly dial?: (dial: Dial) => Dial
  readonly listen?: (listen: Listen) => Listen
  readonly onOpportunity?: Transport.Transport["Type"]["onOpportunity"]
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

export const unreachable = (error: Effect.Effect<never, Transport.DialError>): Changes => ({ unreachable: () => error })

/** Links are accepted with another request. */
const requests = (change: (request: ConnectRequest) => unknown): Changes => ({
  listen: (listen) => (accept) => listen((link, request) => accept(link, change(request) as ConnectRequest))
})

export const broken: Record<string, Changes> = {
  "loses a text": texts((text, index) => index === 150 ? [] : [text]),
  "loses the first text": texts((text, index) => index === 0 ? [] : [text]),
  "loses one text of 20": texts((text, index) => index % 20 === 19 ? [] : [text]),
  "carries 400 texts on a link": texts((text, index) => index < 400 ? [text] : []),
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
  "loses texts of more than 64 KiB": texts((text) => text.length > 65_536 ? [] : [text]),
  "loses texts of more than 1 MiB": texts((text) => text.length > 1_048_576 ? [] : [text]),
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
  "forgets the codes of the protocol": closes(({ onClose }, { code, reason }) =>
    onClose({ code: code < 3000 ? 1006 : code, reason })
  ),
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
  "says nothing of the request": requests(() => undefined),
  "knows no headers": requests(({ remoteAddress, url }) => ({ remoteAddress, url })),
  "has headers as they were written": requests((request) => ({ ...request, headers: { Host: "lab" } })),
  "throws when longer messages are allowed": {
    link: () => ({
      allow: () => {
        throw new Error("not supported")
      }
    })
  },
  "waits for opportunities for ever": { onOpportunity: () => Effect.never },
  "dies where there are no opportunities": { onOpportunity: () => Effect.die("no window") },
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

export const changed = <A extends object>(whole: A, change: (whole: A) => Partial<A> = () => ({})): A => ({
  ...whole,
  ...change(whole)
})

/** The transport in memory, changed, with its network. */
export const network = (
  { dial = (dial) => dial, handler, link, listen = (listen) => listen, onOpportunity }: Changes
) =>
  Effect.map(Layer.build(MemoryTransport.layer), (context) => {
    const transport = Context.get(context, Transport.Transport)
    const network = Context.get(context, MemoryTransport.MemoryNetwork)
    const harness: TransportLaws.Harness = {
      transport: {
        onOpportunity: onOpportunity ?? transport.onOpportunity,
        dial: dial((mine) => Effect.map(transport.dial(changed(mine, handler)), (mine) => changed(mine, link)))
      },
      listen: listen((accept) =>
        network.listen((mine, request) => changed(accept(changed(mine, link), request), handler))
      )
    }
    return { harness, network }
  })
