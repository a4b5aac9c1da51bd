/** Prints the counts of vitest's JSON report as one line, `123 passed, 0 failed`, with `, 4 skipped` where some were. */
import { readFileSync } from "node:fs"

const report = JSON.parse(readFileSync(process.argv[2], "utf8"))

// A file that could not even be loaded holds no test, and is a failure all the same.
const broken = report.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0)
const failed = report.numFailedTests + broken.length
const skipped = report.numPendingTests + report.numTodoTests

console.log(`${report.numPassedTests} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`)
