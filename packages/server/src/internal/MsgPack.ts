/**
 * Whether a body in MessagePack can be given to its parser, which believes what an array says of its length: five bytes
 * make it allocate 240 MB, and a hundred end the process.
 */

/** What follows the first byte of a token: bytes that belong to it, and tokens that are its elements. */
type Shape = (view: DataView, at: number) => readonly [bytes: number, elements: number]

const bytes = (count: number): Shape => () => [count, 0]

type Width = 1 | 2 | 4

const lengthOf = (view: DataView, at: number, width: Width): number =>
  width === 1 ? view.getUint8(at) : width === 2 ? view.getUint16(at) : view.getUint32(at)

/** A length, and so many bytes. */
const text = (width: Width): Shape => (view, at) => [width + lengthOf(view, at, width), 0]

/** A length, and so many times `each` elements. */
const list = (width: Width, each: number): Shape => (view, at) => [width, each * lengthOf(view, at, width)]

const undefinedType = 0x00
const recordType = 0x72

/** Of extensions, those that stand for values of JSON: the others read where they like. */
const extension = (width: number): Shape => (view, at) => {
  const type = view.getUint8(at)
  if (type !== recordType && type !== undefinedType) throw new Error("it has values that JSON has not")
  return [1 + width, 0]
}

const refused: Shape = () => {
  throw new Error("it has values that JSON has not")
}

/** From 0xc0 to 0xdf. */
const shapes: ReadonlyArray<Shape> = [
  [bytes(0), refused, bytes(0), bytes(0)],
  [text(1), text(2), text(4)],
  [refused, refused, refused],
  [bytes(4), bytes(8)],
  [bytes(1), bytes(2), bytes(4), bytes(8)],
  [bytes(1), bytes(2), bytes(4), bytes(8)],
  [extension(1), extension(2), refused, refused, refused],
  [text(1), text(2), text(4)],
  [list(2, 1), list(4, 1)],
  [list(2, 2), list(4, 2)]
].flat()

const shapeOf = (view: DataView, at: number): ReturnType<Shape> => {
  const first = view.getUint8(at)
  if (first < 0x80 || first >= 0xe0) return [0, 0]
  if (first < 0x90) return [0, 2 * (first & 0x0f)]
  if (first < 0xa0) return [0, first & 0x0f]
  if (first < 0xc0) return [first & 0x1f, 0]
  return shapes[first - 0xc0]!(view, at + 1)
}

/** Throws if the tokens have more elements than there are bytes, since each has one at least, or if one is cut off. */
export const check = (body: Uint8Array): void => {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  let elements = 0
  for (let at = 0; at < body.length;) {
    const [more, held] = shapeOf(view, at)
    at += 1 + more
    elements += held
    if (at > body.length || elements > body.length) throw new Error("it ends too early")
  }
}
