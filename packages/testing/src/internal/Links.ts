/** What the clients of a transport have dialled: how often, what of it stands, and what a link must not do. */
import type { LinkHandler } from "@troupe/contract/Link"
import type { Transport } from "@troupe/contract/Transport"
import * as Effect from "effect/Effect"

interface Dialled {
  isOpen: boolean
}

export class Links {
  /** How many dials there have been. */
  dials = 0
  /** What a link has done that none may do. */
  readonly problems: Array<string> = []
  private readonly all = new Set<Dialled>()
  private readonly checks = new Set<() => void>()

  /** The same transport. */
  watch({ dial, onOpportunity }: Transport["Type"]): Transport["Type"] {
    return {
      onOpportunity,
      dial: (handler) =>
        Effect.suspend(() => {
          this.dials++
          const dialled = { isOpen: true }
          return Effect.map(dial(this.listen(dialled, handler)), (link) => {
            if (dialled.isOpen) this.all.add(dialled)
            return link
          })
        })
    }
  }

  /** The links that stand now. */
  get standing(): ReadonlyArray<object> {
    return Array.from(this.all)
  }

  /** Waits until no more than so many links stand, of all, or of those. */
  standingAtMost(max: number, of?: ReadonlyArray<object>): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      const check = () => {
        const count = this.standing.filter((link) => !of || of.includes(link)).length
        if (count > max) return
        this.checks.delete(check)
        resume(Effect.void)
      }
      this.checks.add(check)
      check()
      return Effect.sync(() => this.checks.delete(check))
    })
  }

  private listen(dialled: Dialled, { onClose, onMessage }: LinkHandler): LinkHandler {
    return {
      onMessage: (text) => {
        if (!dialled.isOpen) this.problems.push("a text came after the close of its link")
        onMessage(text)
      },
      onClose: (event) => {
        if (!dialled.isOpen) this.problems.push("a link has closed twice")
        dialled.isOpen = false
        this.all.delete(dialled)
        onClose(event)
        this.checks.forEach((check) => check())
      }
    }
  }
}
