/** Which web pages may connect: browsers say where a page came from, and other clients say nothing. */
import * as Headers from "@effect/platform/Headers"
import type { ConnectRequest } from "@troupe/contract/Behavior"
import * as Option from "effect/Option"

const hostOf = (origin: string): string | undefined => URL.canParse(origin) ? new URL(origin).host : undefined

/** Allows requests without an `Origin`, from the host they are made to, and from the origins of the list. */
export const isAllowed = (origins: ReadonlyArray<string>) => ({ headers }: ConnectRequest): boolean => {
  const origin = Option.getOrUndefined(Headers.get(headers, "origin"))
  if (origin === undefined || origins.includes(origin)) return true
  const host = Option.getOrUndefined(Headers.get(headers, "host"))
  return host !== undefined && hostOf(origin) === host
}
