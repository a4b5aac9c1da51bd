/** The transport of Node's sockets as a value, and clients over one. */
import { ActorClient } from "@troupe/client"
import { Transport } from "@troupe/contract"
import { NodeWebSocketTransport } from "@troupe/node"
import { Context, Effect, Layer, Schedule } from "effect"

export const make = (port: number) =>
  Effect.map(
    Layer.build(NodeWebSocketTransport.layer({ url: `ws://127.0.0.1:${port}/actors` })),
    Context.get(Transport.Transport)
  )

export const client = (transport: typeof Transport.Transport.Service) =>
  Effect.map(
    Layer.build(
      ActorClient.layer({ schedule: Schedule.spaced("10 millis") }).pipe(
        Layer.provide(Layer.succeed(Transport.Transport, transport))
      )
    ),
    Context.get(ActorClient.ActorClient)
  )
