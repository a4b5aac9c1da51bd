/**
 * Seeds that have failed, and what was found by them. What a seed does changes when the workload does: then it is one more
 * seed, and the test that was written for what it has found goes on finding it.
 */
export const regressions: ReadonlyArray<{ readonly seed: number; readonly theme?: string; readonly found: string }> = [
  { seed: 7, found: "an open that came late, on a link its client had left, superseded the newer connection for good" },
  { seed: 107, found: "a client that asked anew because a call was given up lost the recorded answers of its others" },
  { seed: 197, found: "two turns whose states did not encode, in one commit, took each other with them for ever" },
  { seed: 952, found: "onDisconnect ran while onConnect was still at work, in an activation that was lost" },
  { seed: 9409, found: "a call was sent after a resume though the records of what it had brought about had expired" },
  {
    seed: 10603,
    found: "a Resume that came late, on a link its client had left, took the connection from the newer link"
  },
  { seed: 14848, found: "links of the simulation itself, that were held while the clock jumped, changed the order" },
  {
    seed: 17261,
    found: "an alarm that a host which was gone had committed late, behind what the clock had read, did not fire"
  },
  {
    seed: 47074,
    found: "the simulation itself waited for a jump of its clock that was to come after everything had healed"
  },
  {
    seed: 92536,
    found:
      "an answer that nobody asked for any more took the others of its commit from the store, as it was the first of them"
  },
  {
    seed: 79918,
    found: "a call that was run again after hours called another actor, which had forgotten the first time"
  },
  { seed: 89990, found: "the same, after a crash in the middle of it" },
  { seed: 118489, found: "as at 92 536" },
  { seed: 123446, found: "the same, by a message that had been on its way while the hours passed" },
  { seed: 133246, found: "as at 123 446" },
  {
    seed: 252878,
    found: "a call that was too late to run was sent again, and ran after what had been called behind it"
  },
  {
    seed: 3081,
    theme: "impatience",
    found: "a client got an answer before it had sent its call again, said so as it resumed, and the call ran again"
  },
  { seed: 4117, theme: "impatience", found: "as at 3081" },
  {
    seed: 422,
    theme: "streams",
    found: "a chunk that was read while its connection opened anew was acknowledged twice, and values were lost"
  },
  { seed: 1293, theme: "streams", found: "as at 422" },
  {
    seed: 5306,
    theme: "lives",
    found: "a host that left while an end hung in the store did not release what its connections held"
  },
  { seed: 286644, found: "the simulation itself did not expect that the clock of another host takes an actor over" }
]
