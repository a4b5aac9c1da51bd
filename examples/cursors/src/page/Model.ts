/** What the page knows of the board, as plain data. */
import type { ConnectionId } from "@troupe/contract/ConnectionId"
import type { Person, Place, Point, View } from "../contract.ts"

export interface Model {
  /** The page's own connection, once it is known. */
  readonly me: ConnectionId | undefined
  readonly people: ReadonlyArray<Person>
  readonly places: ReadonlyMap<ConnectionId, Point | null>
}

export const empty: Model = { me: undefined, people: [], places: new Map() }

/** What the board looks like now: whatever was known before has been overtaken. */
export const seen = ({ me, people, places }: View) => (): Model => ({
  me,
  people,
  places: new Map(places.map(({ at, id }) => [id, at]))
})

/** Whoever is not among them has left, and takes their place along. */
export const withPeople = (people: ReadonlyArray<Person>) => (model: Model): Model => {
  const ids = new Set(people.map(({ id }) => id))
  return { ...model, people, places: new Map([...model.places].filter(([id]) => ids.has(id))) }
}

export const withPlace = ({ at, id }: Place) => (model: Model): Model => ({
  ...model,
  places: new Map(model.places).set(id, at)
})

/** The pointer of somebody else. */
export interface Cursor extends Person {
  readonly at: Point
}

/** The pointers of the others that are on the board. */
export const cursors = ({ me, people, places }: Model): ReadonlyArray<Cursor> =>
  people.flatMap((person) => {
    const at = places.get(person.id)
    return at && person.id !== me ? [{ ...person, at }] : []
  })
