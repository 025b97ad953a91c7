import type { Schemas } from "../api/client";

export type Series = Schemas["RuleSeries"];
type Metric = Schemas["MetricSeries"];
type Line = Schemas["Line"];
type Point = Schemas["Point"];

/** Put two answers together: what lies before `cut` (RFC 3339) is of the older one. */
export function merge(older: Series, newer: Series, cut: string): Series {
  return {
    ...newer,
    since: older.since,
    metrics: newer.metrics.map((metric) => metricOf(older.metrics.find((each) => each.trigger === metric.trigger), metric, cut)),
    pending: newer.pending.map((line) => {
      const before = older.pending.find((each) => each.trigger === line.trigger && each.unit === line.unit);
      return before === undefined ? line : { ...line, read_since: before.read_since, points: joined(before.points, line.points, cut) };
    }),
    decisions: union(older.decisions, newer.decisions),
    runs: union(older.runs, newer.runs),
  };
}

function metricOf(older: Metric | undefined, newer: Metric, cut: string): Metric {
  if (older === undefined) return newer;
  const before = new Map(older.lines.map((line) => [line.series, line]));
  const lines: Line[] = newer.lines.map((line) => {
    const known = before.get(line.series);
    before.delete(line.series);
    return known === undefined ? line : { ...line, samples: known.samples + line.samples, points: joined(known.points, line.points, cut) };
  });
  const gone = [...before.values()].map((line) => ({ ...line, points: line.points.filter((point) => point.at < cut) }));
  return { ...newer, read_since: older.read_since, more: Math.max(older.more, newer.more), lines: [...lines, ...gone] };
}

function joined(before: readonly Point[], after: readonly Point[], cut: string): Point[] {
  return [...before.filter((point) => point.at < cut), ...after];
}

/** Rows of both, the newest first; where both have one, that of the newer answer. */
function union<T extends { id: string | number }>(older: readonly T[], newer: readonly T[]): T[] {
  const ids = new Set(newer.map((row) => row.id));
  return [...newer, ...older.filter((row) => !ids.has(row.id))].sort((one, other) => (one.id < other.id ? 1 : -1));
}

/** Where the values of all triggers are complete from. */
export function readSince(series: Series): string {
  return series.metrics.reduce((latest, metric) => (metric.read_since > latest ? metric.read_since : latest), series.since);
}

/** The last point at or before a time (RFC 3339), by bisection; undefined before the first. */
export function valueAt(points: readonly Point[], at: string): Point | undefined {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((points[middle]?.at ?? "") <= at) low = middle + 1;
    else high = middle;
  }
  return points[low - 1];
}
