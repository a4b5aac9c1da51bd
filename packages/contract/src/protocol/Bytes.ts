/** Sizes of texts as UTF-8, without encoding them. */

/** How many bytes a UTF-16 code unit of a text has at most. */
export const perUnitMax = 3

/** How many bytes a text has as UTF-8. A lone surrogate counts 3, as the replacement character it is sent as. */
export const of = (text: string): number => {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) continue
    bytes += unit < 0x800 ? 1 : 2
    // a pair of surrogates has 4 bytes: one for each unit, and the two just added
    if (isPair(unit, text.charCodeAt(i + 1))) i++
  }
  return bytes
}

const isPair = (high: number, low: number): boolean =>
  high >= 0xd800 && high <= 0xdbff && low >= 0xdc00 && low <= 0xdfff

/** Whether a text has more than `max` bytes. Looks at the units only where their number does not decide it. */
export const exceed = (text: string, max: number): boolean =>
  text.length > max || (text.length * perUnitMax > max && of(text) > max)
