/** The server and the store file, said by the configuration. */
import { HttpServer } from "@effect/platform"
import { assert, it } from "@effect/vitest"
import { NodeActors, SqliteStore } from "@troupe/node"
import { ActorStore } from "@troupe/server"
import { Config, ConfigProvider, Context, Effect, Layer } from "effect"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Directory from "./utils/Directory.ts"

const configured = (entries: Readonly<Record<string, string>>) =>
  Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(entries))))

const Store = SqliteStore.layerConfig({
  filename: Config.string("TROUPE_DB"),
  retention: Config.duration("RETENTION").pipe(Config.withDefault(undefined))
})

const Server = NodeActors.layerConfig(() => Http.createServer(), {
  port: Config.integer("PORT"),
  host: Config.succeed("127.0.0.1")
})

it.scopedLive("the store is the file that the configuration names, with its retention or the default", () =>
  Effect.gen(function*() {
    const folder = yield* Directory.temporary
    for (const [retention, millis] of [[{ RETENTION: "2 hours" }, 7_200_000], [{}, 86_400_000]] as const) {
      const filename = `${folder}/${millis}.db`
      const context = yield* Layer.build(Layer.provide(Store, configured({ TROUPE_DB: filename, ...retention })))
      assert.isTrue(Fs.existsSync(filename))
      assert.strictEqual(Context.get(context, ActorStore.ActorStore).retentionMillis, millis)
    }
    const error = yield* Effect.flip(Layer.build(Layer.provide(Store, configured({}))))
    assert.include(error, { _op: "MissingData" })
  }))

it.scopedLive("the server listens where the configuration says", () =>
  Effect.gen(function*() {
    const context = yield* Layer.build(Layer.provide(Server, configured({ PORT: "0" })))
    const { address } = Context.get(context, HttpServer.HttpServer)
    assert.include(address, { _tag: "TcpAddress", hostname: "127.0.0.1" })
    const error = yield* Effect.flip(Layer.build(Layer.provide(Server, configured({ PORT: "none" }))))
    assert.include(error, { _op: "InvalidData" })
  }))

it.scopedLive("options that are undefined are not given", () =>
  Effect.gen(function*() {
    const filename = `${yield* Directory.temporary}/store.db`
    // as in a program whose compiler does not know `exactOptionalPropertyTypes`
    const nothing = undefined as never
    const store = SqliteStore.layerConfig({ filename: Config.succeed(filename), retention: nothing })
    assert.strictEqual(Context.get(yield* Layer.build(store), ActorStore.ActorStore).retentionMillis, 86_400_000)
    const server = NodeActors.layerConfig(() => Http.createServer(), { port: Config.succeed(0), host: nothing })
    assert.include(Context.get(yield* Layer.build(server), HttpServer.HttpServer).address, { _tag: "TcpAddress" })
  }))

it.scopedLive("all options can be one configuration", () =>
  Effect.gen(function*() {
    const filename = `${yield* Directory.temporary}/store.db`
    const store = SqliteStore.layerConfig(Config.succeed({ filename, retention: "1 hour" }))
    assert.strictEqual(Context.get(yield* Layer.build(store), ActorStore.ActorStore).retentionMillis, 3_600_000)
  }))
