/** Clients that are gone from one moment to the next: nothing they say arrives any more, not even that they go. */
import { Transport } from "@troupe/contract"
import { Effect } from "effect"

/** Another transport, whose links can be made deaf, and dumb. */
export const over = (transport: typeof Transport.Transport.Service) => {
  let [deaf, dumb] = [false, false]
  return {
    /** From now on nothing is heard. */
    deafen: Effect.sync(() => {
      deaf = true
    }),
    /** From now on nothing is said either. */
    vanish: Effect.sync(() => {
      deaf = dumb = true
    }),
    transport: Transport.Transport.of({
      ...transport,
      dial: (handler) =>
        Effect.map(
          transport.dial({
            onMessage: (text) => deaf || handler.onMessage(text),
            onClose: handler.onClose
          }),
          (link) => ({
            send: (text) => dumb || link.send(text),
            close: (code, reason) => link.close(code, reason),
            buffered: () => link.buffered()
          })
        )
    })
  }
}
