/** What a caller sees of a bug in a handler: an opaque id. The cause stands in the server's log under the same id. */
import * as Schema from "effect/Schema"

/** The defect of a `Die` that crossed the wire. It carries no message, so that nothing of the server leaks. */
export class ServerDefect extends Schema.TaggedError<ServerDefect>("@troupe/contract/ServerDefect")("ServerDefect", {
  id: Schema.String
}) {
  override get message() {
    return `a handler died on the server (defect ${this.id})`
  }
}
