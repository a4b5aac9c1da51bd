/** Where a program listens. */
import { Config } from "effect"

/** A port from the environment; 0 takes a free one. */
export const portOf = (name: string, otherwise: number): Config.Config<number> =>
  Config.integer(name).pipe(
    Config.validate({ message: "expected a port", validation: (port) => port >= 0 && port <= 65_535 }),
    Config.withDefault(otherwise)
  )
