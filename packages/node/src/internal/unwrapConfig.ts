/** Options from the configuration, where some are `undefined`: they are not given. */
import * as Config from "effect/Config"

/** What `Config.unwrap` does; but that throws at them. */
export const unwrapConfig = <A extends object>(options: Config.Config.Wrap<A>): Config.Config<A> => {
  if (Config.isConfig(options)) return options as Config.Config<A>
  const given = Object.entries(options).filter(([, option]) => option !== undefined)
  return Config.unwrap<A>(Object.fromEntries(given) as never)
}
