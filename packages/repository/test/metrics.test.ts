/** `docs/observability.md` and the code agree on the metrics there are. */
import { assert, it } from "@effect/vitest"
import * as ClientMetrics from "@troupe/client/Metrics"
import * as ServerMetrics from "@troupe/server/Metrics"
import { Metric, MetricState } from "effect"
import * as Repository from "./support/Repository.ts"

const kindOf = (state: unknown): string => {
  if (MetricState.isCounterState(state)) return "counter"
  return MetricState.isHistogramState(state) ? "histogram" : "gauge"
}

it("the table of metrics", () => {
  const section = Repository.read("docs/observability.md").split("\n## Metrics\n")[1]!.split("\n## ")[0]!
  const documented = [...section.matchAll(/^\| `(\w+)` \| (\w+) \|/gm)].map(([, name, kind]) => `${name} ${kind}`)
  const metrics = [...Object.values(ServerMetrics), ...Object.values(ClientMetrics)]
  // a metric shows its name when it has been used
  for (const metric of metrics) metric.register()
  const actual = Metric.unsafeSnapshot()
    .map(({ metricKey, metricState }) => `${metricKey.name} ${kindOf(metricState)}`)
    .filter((name) => name.startsWith("troupe_"))
  assert.sameMembers(actual, documented)
  assert.lengthOf(actual, metrics.length)
})
