/** Who may come in, and as what. A real app asks its identity provider here. */
import { Context, Effect, Layer } from "effect"
import { Denied, type Role } from "../contract.ts"

export class Auth extends Context.Tag("chat-room/Auth")<Auth, {
  readonly verify: (token: string) => Effect.Effect<Role, Denied>
}>() {
  /** The demo's two tokens are the names of the roles. */
  static readonly layerDemo = Layer.succeed(Auth, {
    verify: (token) =>
      token === "guest" || token === "moderator"
        ? Effect.succeed(token)
        : Effect.fail(new Denied({ reason: "This token opens no door here. Try “guest” or “moderator”." }))
  })
}
