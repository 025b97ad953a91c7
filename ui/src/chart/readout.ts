import type { Schemas } from "../api/client";
import { quantity } from "../parts/tree";
import { number } from "../state/numbers";
import { visible } from "../state/text";
import { valueAt, type Series } from "./merge";

type Metric = Schemas["MetricSeries"];

/** What the chart shows at a time (RFC 3339), as short texts: values, pending data, the decision, active runs. */
export function readout(series: Series, at: string): string[] {
  const texts = series.metrics.flatMap((metric) => ofMetric(metric, at));
  for (const line of series.pending) {
    const value = valueAt(line.points, at)?.value;
    const limit = line.limit === null ? "" : ` of ${quantity(line.limit, line.unit)}`;
    if (value !== null && value !== undefined) texts.push(`${line.trigger} ${quantity(value, line.unit)}${limit}${line.unit === "bytes" ? "" : ` ${line.unit}`} pending`);
  }
  const decision = series.decisions.find((each) => each.first_at <= at);
  if (decision !== undefined) texts.push(`${decision.decision}: ${decision.reason.replaceAll("_", " ")}`);
  const active = series.runs.filter((run) => run.created_at <= at && (run.ended_at === null || run.ended_at >= at));
  if (active.length > 0) texts.push(`${active.length === 1 ? "run" : "runs"} ${active.map((run) => run.id.slice(-6)).slice(0, 3).join(", ")}`);
  return texts;
}

function ofMetric(metric: Metric, at: string): string[] {
  return metric.lines.flatMap((line) => {
    const point = valueAt(line.points, at);
    if (point === undefined) return [];
    const named = visible(metric.lines.length > 1 || metric.alerts ? `${metric.trigger} ${line.series}` : metric.trigger);
    if (point.value === null) return [`${named} no value`];
    if (metric.alerts) return [`${named} ${point.value > 0 ? "firing" : "resolved"}`];
    return [`${named} ${number(point.value)} (${limitOf(metric)})`];
  });
}

/** The threshold as it is written: "> 0.2". */
export function limitOf(metric: Metric): string {
  return `${metric.side === "above" ? ">" : "<"} ${number(metric.limit)}`;
}
