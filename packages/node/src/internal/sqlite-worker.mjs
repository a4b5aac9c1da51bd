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

const start = () => {
  const retrying = makeRetrying(options)
  const { close, result: answer } = open(options.filename, retrying, (db) => operations.make(db, options, retrying))
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
