/** Posts "1", "2", ... to the actor of `utils/Feed.ts` on a port, one after the other, and says when it has begun. */
import { Effect } from "effect"
import { connect } from "../utils/FeedServer.ts"

const [, , port, name] = process.argv

await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  const feed = yield* connect(Number(port), name!)
  console.log(`is ${yield* feed.rpc.Me()}`)
  for (let number = 1;; number++) {
    yield* feed.rpc.Post({ at: yield* feed.rpc.Me(), text: `${number}` })
    yield* Effect.sleep(5)
  }
})))
