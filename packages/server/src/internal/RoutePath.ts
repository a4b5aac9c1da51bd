/** Where actors are served: a path as an option names it, as it stands in requests, and as the router wants it. */

/** What URLs or routers read as something else than a part of a path; also what is left when a path cannot be decoded. */
const special = /[?#*:;%]/

const decoded = (target: string): string => {
  try {
    return decodeURI(target)
  } catch {
    return target
  }
}

/** Encoded, as clients do it. Throws if the router would not find it, or something else. */
export const toTarget = (path: `/${string}`): `/${string}` => {
  const target = new URL(`http://host${path}`).pathname as `/${string}`
  // a query of the URL is not in its path
  if (!special.test(decoded(target)) && !/[?#]/.test(path)) return target
  throw new Error(`the path ${path} cannot be served: it has one of ? # * : ; or a % that encodes one, or nothing`)
}

/** Decoded: the router compares it with what it has decoded itself. */
export const toPattern = (target: `/${string}` | ""): `/${string}` | "" => decodeURI(target) as `/${string}` | ""
