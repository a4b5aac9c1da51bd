/** What a gateway asks of the host: to open connections and to resume them. Everything is decoded and bounded by then. */
import type { ConnectRequest } from "@troupe/contract/Behavior"
import type { DisconnectReason } from "@troupe/contract/DisconnectReason"
import type * as Frame from "@troupe/contract/protocol/Frame"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Attachment, ServerConnection } from "./internal/ServerConnection.ts"

/** Opens and resumes connections to the actors of a host. */
export class Connections extends Context.Tag("@troupe/server/Connections")<Connections, {
  /** Opens a connection; its frames then go to the attachment. */
  readonly open: (
    frame: Frame.ClientFrameOf<"Open">,
    request: ConnectRequest,
    attachment: Attachment
  ) => Effect.Effect<ServerConnection, DisconnectReason>
  /** Continues a connection on another link. Returns why it cannot be continued, if it cannot. */
  readonly resume: (frame: Frame.ClientFrameOf<"Resume">, attachment: Attachment) => DisconnectReason | undefined
}>() {}
