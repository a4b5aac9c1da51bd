/** The server of this example, in the process of a test. */
import { FileSystem, HttpServer } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { Context, Effect, Layer } from "effect"
import * as Server from "../../src/server/Server.ts"

/** A server on this port with this file, for the rest of the scope; 0 takes a free port. */
export const serve = Effect.fn("serve")(function*(filename: string, port = 0) {
  const context = yield* Layer.build(Server.layer({ port, filename }))
  const { address } = Context.get(context, HttpServer.HttpServer)
  return address._tag === "TcpAddress" ? address.port : port
})

/** A folder that is removed with the scope. */
export const freshFolder = FileSystem.FileSystem.pipe(
  Effect.flatMap((fs) => fs.makeTempDirectoryScoped({ prefix: "chat-room-" })),
  Effect.provide(NodeContext.layer)
)

/** A file name in such a folder. */
export const freshFile = Effect.map(freshFolder, (folder) => `${folder}/test.db`)
