/** The routes of an ordinary app, beside which the actors are served. */
import { FileSystem, HttpLayerRouter, HttpServerRequest, HttpServerResponse, Path } from "@effect/platform"
import { Effect, Option, Schema } from "effect"
import { Announced, ChatRoom, Text } from "../contract.ts"

export const Health = HttpLayerRouter.add("GET", "/health", HttpServerResponse.unsafeJson({ status: "ok" }))

/** An announcement is never longer than this; without a bound a body is read to its end, however long it is. */
const bodyBytesMax = FileSystem.KiB(16)

/**
 * `POST /announce` with `{ "text": "..." }`: says something to the lobby, as the house. `yield* ChatRoom` is the room as
 * a service; calling it wakes the room if nobody is there. Yours would ask who is calling: here anybody may.
 */
export const Announce = HttpLayerRouter.use((router) =>
  Effect.gen(function*() {
    const rooms = yield* ChatRoom
    const announce = Effect.gen(function*() {
      const { text } = yield* HttpServerRequest.schemaBodyJson(Schema.Struct({ text: Text })).pipe(
        HttpServerRequest.withMaxBodySize(Option.some(bodyBytesMax))
      )
      const announced = yield* rooms.get("lobby").Announce({ text })
      return yield* HttpServerResponse.schemaJson(Announced)(announced)
    }).pipe(Effect.catchTags({
      ParseError: ({ message }) => HttpServerResponse.text(message, { status: 400 }),
      RequestError: ({ message }) => HttpServerResponse.text(message, { status: 400 }),
      ActorOverloaded: ({ message }) => HttpServerResponse.text(message, { status: 503 }),
      ActorUnavailable: ({ message }) => HttpServerResponse.text(message, { status: 503 }),
      CallTimeout: ({ message }) => HttpServerResponse.text(message, { status: 504 })
    }))
    yield* router.add("POST", "/announce", announce)
  })
)

/** The page needs nothing but what this server serves; whatever somebody may inject, the browser runs none of it. */
const security = {
  "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer"
}

/** The built page. A route for each file that is there at the start, so that no request can name any other. */
export const page = (folder: string) =>
  HttpLayerRouter.use((router) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const names = yield* fs.readDirectory(folder, { recursive: true })
      for (const name of names) {
        const file = path.join(folder, name)
        if ((yield* fs.stat(file)).type !== "File") continue
        const url = name === "index.html" ? "/" : `/${name.replaceAll("\\", "/")}` as const
        // What Vite puts into `assets` has a hash of its content in its name.
        const cache = url.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache"
        yield* router.add(
          "GET",
          url,
          HttpServerResponse.file(file, { headers: { ...security, "cache-control": cache } })
        )
      }
    })
  )
