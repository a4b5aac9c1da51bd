import { assert, it } from "@effect/vitest"
import { Secrets } from "@troupe/contract"
import { Effect } from "effect"

it.effect("secrets have 128 bits, and none comes twice: they are drawn many at a time", () =>
  Effect.gen(function*() {
    const { next } = yield* Secrets.Secrets
    const secrets = Array.from({ length: 10_000 }, next)
    assert.lengthOf(new Set(secrets), secrets.length)
    for (const secret of secrets) assert.match(secret, /^[0-9a-f]{32}$/)
    // each digit is as likely as any other, at each place: none is left over from what was not drawn
    for (let place = 0; place < 32; place++) {
      const zeros = secrets.filter((secret) => secret[place] === "0").length
      assert.isBelow(Math.abs(zeros - secrets.length / 16), 200, `place ${place}`)
    }
  }))
