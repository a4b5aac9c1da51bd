/**
 * The thread that owns a store file: it answers messages until it is told to close. JavaScript, like the modules it
 * loads, because a worker thread of Node 20 loads no TypeScript; the same files run in development and in tests, and the
 * build copies them to `dist`.
 */
import { parentPort, workerData } from "node:worker_threads"
import { makeRetrying, messageOf, toRefusal } from "./sqlite-errors.mjs"
import { open } from "./sqlite-file.mjs"
import * as operations from "./sqlite-operations.mjs"

/**
 * @import { Answer, Batch, Opening, Refusal, WorkerOptions } from "./SqliteProtocol.ts"
 */

const options = /** @type {WorkerOptions} */ (workerData)

const port = /** @type {import("node:worker_threads").MessagePort} */ (parentPort)

/** @param {Refusal | undefined} refusal */
const tell = (refusal) => port.postMessage(/** @type {Opening} */ ({ refusal }))

/** How long a look at the files is good for, but where a loss of power is to be survived: it costs some 5 microseconds. */
const lookMillis = 50

/**
 * Answers only what lasts. Once something was lost, nothing more is done: whoever has the files' names now is not to be
 * harmed.
 * @param {(batch: Batch) => Array<Answer>} answer
 * @param {() => string | undefined} whyLost
 * @returns {(batch: Batch) => Array<Answer>}
 */
const makeLasting = (answer, whyLost) => {
  /** @type {string | undefined} */
  let lost
  let lookedAt = -Infinity
  return (batch) => {
    const failed = (/** @type {string} */ error) => batch.requests.map(({ id }) => ({ id, error }))
    if (lost !== undefined) return failed(lost)
    const answers = answer(batch)
    const now = performance.now()
    if (now < lookedAt + lookMillis && !batch.requests.some(operations.isFsync)) return answers
    try {
      lost = whyLost()
      lookedAt = now
    } catch (error) {
      // nobody knows: somebody has closed the directory, for example
      return failed(messageOf(error))
    }
    return lost === undefined ? answers : failed(lost)
  }
}

const start = () => {
  const retrying = makeRetrying(options)
  const { close, result, whyLost } = open(options.filename, retrying, (db) => operations.make(db, options, retrying))
  const answer = makeLasting(result, whyLost)
  port.on("message", (/** @type {Batch} */ batch) => {
    const closing = batch.requests.find(({ operation }) => operation === "close")
    const answers = answer(batch)
    if (!closing) return port.postMessage(answers)
    // what comes later is not read: it fails when the thread has ended
    port.removeAllListeners("message")
    // what has been done is told first, whatever becomes of the file
    port.postMessage(answers.filter(({ id }) => id !== closing.id))
    port.postMessage([end(closing.id, close)])
    port.close()
  })
}

/**
 * @param {number} id
 * @param {() => void} close
 * @returns {Answer}
 */
const end = (id, close) => {
  try {
    close()
    return { id, value: undefined }
  } catch (error) {
    return { id, error: messageOf(error) }
  }
}

try {
  start()
  tell(undefined)
} catch (error) {
  tell(toRefusal(error))
}
