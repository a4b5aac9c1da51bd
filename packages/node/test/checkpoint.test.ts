/** A store whose file cannot be tidied up when it is closed, for real: the system lets no file grow. */
import { assert, it } from "@effect/vitest"
import { Address } from "@troupe/contract"
import { SqliteStore } from "@troupe/node"
import { ActorStore } from "@troupe/server"
import { Effect, Exit, Layer, Scope } from "effect"
import * as ChildProcess from "node:child_process"
import * as Directory from "./utils/Directory.ts"

const isPossible = ChildProcess.spawnSync("prlimit", ["--fsize"], { stdio: "ignore" }).status === 0

/** Limits the size of the files that this process may write. */
const limitFiles = (bytes: number | "unlimited") =>
  Effect.sync(() => ChildProcess.execFileSync("prlimit", ["--pid", `${process.pid}`, `--fsize=${bytes}:`]))

const commit = (store: ActorStore.ActorStore["Type"], key: string, bytes: number) =>
  Effect.gen(function*() {
    const address = Address.make("Big", key)
    const { epoch, version } = yield* store.claim(address)
    return {
      address,
      epoch,
      version,
      state: JSON.stringify("x".repeat(bytes)),
      replies: [],
      settledSegments: [],
      fsync: false
    }
  })

it.scopedLive.skipIf(!isPossible)(
  "what is committed while a store closes stands if and only if it is told so, whatever becomes of the checkpoint",
  () =>
    Effect.gen(function*() {
      const filename = `${yield* Directory.temporary}/store.db`
      const open = Effect.gen(function*() {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(SqliteStore.layer({ filename }), scope)
        return { scope, store: yield* Effect.provide(ActorStore.ActorStore, context) }
      })
      const first = yield* open
      yield* first.store.commit([yield* commit(first.store, "large", 4_000_000)])
      yield* Scope.close(first.scope, Exit.void)

      yield* Effect.addFinalizer(() => limitFiles("unlimited"))
      // so that it travels in the message before the last one, in the last one, or after it
      for (let yields = 0; yields < 10; yields++) {
        const { scope, store } = yield* open
        const last = yield* commit(store, `${yields}`, 50_000)
        yield* limitFiles(1_000_000)
        const waiting = Effect.replicateEffect(Effect.yieldNow(), yields)
        const [result] = yield* Effect.all(
          [Effect.exit(Effect.zipRight(waiting, store.commit([last]))), Scope.close(scope, Exit.void)],
          { concurrency: "unbounded" }
        )
        yield* limitFiles("unlimited")
        const next = yield* open
        const { version } = yield* next.store.claim(last.address)
        yield* Scope.close(next.scope, Exit.void)
        assert.strictEqual(version, Exit.isSuccess(result) ? 1 : 0, `after ${yields} yields: ${result}`)
      }
    })
)
