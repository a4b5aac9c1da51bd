/**
 * Does jobs, one after another, in one process: what their programs have in common is loaded, and compiled, once. Prints a
 * line of JSON for each thing that is told, with the place of the job among them.
 */
const jobs = JSON.parse(process.argv[2])

for (const [i, { program, ...job }] of jobs.entries()) {
  const { work } = await import(program)
  work(job, (line) => console.log(JSON.stringify([i, line])))
}
