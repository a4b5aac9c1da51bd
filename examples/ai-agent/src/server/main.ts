/**
 * Runs the server. `PORT` and `TROUPE_DB` say where, `WORD_TIME` how fast the model is; Ctrl-C and SIGTERM let it finish what
 * it has begun.
 */
import { HttpServer } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Config, Console, Effect, Layer } from "effect"
import { fileURLToPath } from "node:url"
import * as FakeModel from "./FakeModel.ts"
import * as Server from "./Server.ts"

const main = Effect.gen(function*() {
  const port = yield* Config.integer("PORT").pipe( // 0 takes a free one
    Config.validate({ message: "expected a port", validation: (port) => port >= 0 && port <= 65_535 }),
    Config.withDefault(3000)
  )
  const filename = yield* Config.string("TROUPE_DB").pipe(
    Config.withDefault(fileURLToPath(new URL("../../ai-agent.db", import.meta.url)))
  )
  const word = yield* Config.duration("WORD_TIME").pipe(Config.withDefault(FakeModel.wordTime))
  const listening = HttpServer.addressWith((address) =>
    Console.log(`The agent is listening: http://localhost:${address._tag === "TcpAddress" ? address.port : port}`)
  )
  const server = Server.layer({ port, filename }).pipe(
    Layer.provide(FakeModel.layer({ word })) // the place of a real one
  )
  return yield* Layer.launch(Layer.provideMerge(Layer.effectDiscard(listening), server)).pipe(
    Effect.catchTag("ServeError", (error) => Effect.fail(whyNotListening(error.cause, port)))
  )
})

const whyNotListening = (cause: unknown, port: number): unknown =>
  cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE"
    ? `Port ${port} is in use. Take another one: PORT=${port + 1} npm start`
    : cause

/** One line for what a person can mend; a defect keeps its stack. */
const report = (cause: Cause.Cause<unknown>) => {
  if (Cause.isInterruptedOnly(cause)) return Effect.void
  const error = Cause.squash(cause)
  return Console.error(
    Cause.isFailure(cause) ? (error instanceof Error ? error.message : String(error)) : Cause.pretty(cause)
  )
}

// npm repeats a terminal's Ctrl-C, and a second one ends the process at once: what follows that soon is an echo.
const ignoreEcho = () => {
  setTimeout(() => process.off("SIGINT", ignoreEcho), 1000).unref()
}
process.on("SIGINT", ignoreEcho)

NodeRuntime.runMain(Effect.tapErrorCause(main, report), { disableErrorReporting: true })
