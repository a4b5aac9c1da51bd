/** Functions of code that does not use Effect, which are called with what happens. */

/** Somebody else's mistake is shown where such are shown, and stops nobody. */
export const tell = <A>(listener: (value: A) => void, value: A): void => {
  try {
    listener(value)
  } catch (error) {
    void Promise.reject(error)
  }
}
