/** The routes of an ordinary app, beside which the actors are served. */
import { FileSystem, HttpLayerRouter, HttpServerResponse, Path } from "@effect/platform"
import { Effect } from "effect"

export const Health = HttpLayerRouter.add("GET", "/health", HttpServerResponse.unsafeJson({ status: "ok" }))

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
