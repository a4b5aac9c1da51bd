/** Options where some are not given. For Troupe's own packages. */

/** Bounds are compared with counts, and told to clients as whole numbers: what has a fraction is the number below it. */
const whole = (name: string, value: unknown): unknown =>
  name.endsWith("Max") && typeof value === "number" ? Math.floor(value) : value

/** Options with defaults in the place of those that are not given, or given as `undefined`. */
export const withDefaults = <Defaults extends object, Options extends object>(defaults: Defaults, options: Options) =>
  ({
    ...defaults,
    ...Object.fromEntries(
      Object.entries(options)
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => [name, whole(name, value)])
    )
  }) as Defaults & Options
