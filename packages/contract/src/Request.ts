/** The call that is being handled, as a type: what only makes sense in a handler asks for it. */

declare const RequestTypeId: unique symbol

/** Stands in `R` where a call is needed. Handlers of public and of internal rpcs are given one, hooks and `build` are not. */
export interface Request<in out Self> {
  readonly [RequestTypeId]: (_: Self) => Self
}
