/** How what handlers are given looks in a log: by its name, without the secrets and the host behind it. */
import { NodeInspectSymbol } from "effect/Inspectable"

export abstract class Shown {
  /** What is shown in place of the fields. */
  abstract toJSON(): unknown

  [NodeInspectSymbol](): unknown {
    return this.toJSON()
  }
}
