/** Where the logs of a program go whose output is read. */
import * as Logger from "effect/Logger"

export const toErrors = Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.stringLogger))
