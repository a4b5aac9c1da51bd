/** Waits that end with a message that says what has not come, instead of the timeout of a test. In real time, always. */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"

/** Calls back with a message when there is no use in waiting any longer. What it returns stops it. */
type Watch = (giveUp: (message: string) => void) => () => void

/** A defect if the watch gives up before. What cannot be interrupted is left behind then. */
const unless = <A, E, R>(effect: Effect.Effect<A, E, R>, watch: Watch): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkDaemon(restore(effect)), (fiber) => {
      const interrupt = fiber.interruptAsFork(fiber.id())
      const end = Effect.async<A, E>((resume) => {
        const stop = watch((message) => resume(Effect.zipRight(interrupt, Effect.dieMessage(message))))
        const onExit = (exit: Exit.Exit<A, E>): void => {
          stop()
          resume(exit)
        }
        fiber.addObserver(onExit)
        return Effect.sync(() => {
          stop()
          fiber.removeObserver(onExit)
        })
      })
      return Effect.onInterrupt(restore(end), () => interrupt)
    })
  )

/** A defect that says what has not come, after so long. */
export const soon = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  patienceMillis: number,
  missing: () => string
): Effect.Effect<A, E, R> =>
  unless(effect, (giveUp) => {
    const timer = setTimeout(() => giveUp(missing()), patienceMillis)
    return () => clearTimeout(timer)
  })

/** How often it is looked whether something has come: once would find nothing when the whole process has stood still. */
const looks = 10

/** Everything that is waited for at a time, each with a name: it may take long, as long as something of it comes. */
export class Waits {
  private readonly names = new Set<{ readonly name: string }>()
  private moves = 0

  constructor(private readonly patienceMillis: number) {}

  /** Waits for this. */
  for<A, E, R>(name: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      const entry = { name }
      this.names.add(entry)
      this.moves++
      return Effect.ensuring(
        effect,
        Effect.sync(() => {
          this.names.delete(entry)
          this.moves++
        })
      )
    })
  }

  /** A defect that says what is waited for, when nothing of it has come for so long. */
  guard<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return unless(effect, (giveUp) => {
      let seen = this.moves
      let idle = 0
      const timer = setInterval(() => {
        idle = this.moves === seen && this.names.size > 0 ? idle + 1 : 0
        seen = this.moves
        if (idle === looks) giveUp(this.missing())
      }, this.patienceMillis / looks)
      return () => clearInterval(timer)
    })
  }

  private missing(): string {
    const names = Array.from(new Set(Array.from(this.names, ({ name }) => name)))
    return `nothing has come for ${this.patienceMillis} ms; waited for: ${names.join(", ")}`
  }
}
