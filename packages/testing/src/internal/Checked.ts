/** Numbers that come as options. One that makes no sense is refused, by its name, before anything is done with it. */
import * as Duration from "effect/Duration"

const refuse = (name: string, value: unknown, wanted: string): never => {
  throw new Error(
    `${name} is ${Duration.isDuration(value) ? Duration.format(value) : String(value)}, and must be ${wanted}`
  )
}

/** Options without those that are `undefined`: a program that is written without `exactOptionalPropertyTypes` has them. */
export const given = <Options extends object>(options: Options): Options =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Options

export const probability = (name: string, value: number): number =>
  value >= 0 && value <= 1 ? value : refuse(name, value, "a number from 0 to 1")

/** A finite number from `min` on. */
export const number = (name: string, value: number, min = 0): number =>
  Number.isFinite(value) && value >= min ? value : refuse(name, value, `a finite number from ${min} on`)

export const whole = (name: string, value: number, min: number, max = Number.MAX_SAFE_INTEGER): number =>
  Number.isInteger(value) && value >= min && value <= max
    ? value
    : refuse(name, value, `a whole number from ${min} to ${max}`)

/** A bound on something that is counted: at least 1. */
export const bound = (name: string, value: number): number => value === Infinity ? value : whole(name, value, 1)

/** A finite duration, in milliseconds. */
export const millis = (name: string, value: Duration.DurationInput): number => {
  // Effect takes what is not a number, or is less than 0, for 0
  if (typeof value === "number") return number(name, value)
  const decoded = Duration.decodeUnknown(value)
  return decoded._tag === "Some" && Duration.isFinite(decoded.value)
    ? Duration.toMillis(decoded.value)
    : refuse(name, value, "a finite duration")
}

/** What chance comes from. */
export const seed = (value: number): number => whole("seed", value, 0)
