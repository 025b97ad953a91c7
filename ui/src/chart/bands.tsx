import type { Schemas } from "../api/client";
import { quantity } from "../parts/tree";
import { number } from "../state/numbers";
import { visible } from "../state/text";
import { toneOfPhase } from "../state/tones";
import type { Series } from "./merge";
import { areaOf, barsOf, lineOf, scaleOf } from "./paths";
import { limitOf } from "./readout";

type Metric = Schemas["MetricSeries"];
type Pending = Schemas["PendingSeries"];
type Strip = Schemas["Strip"];

/** Where a band is drawn: its top, the plot's left and right edge, and the place of a time. All in pixels. */
export interface Place {
  top: number;
  left: number;
  right: number;
  x: (at: string) => number;
}

export const HEIGHTS = { metric: 112, alert: 44, pending: 72, row: 24 } as const;
export const MOST_REASONS = 8;
const LABEL = 18;
const WIDEST = 44;

/** The text of a band, above its plot. */
function Label({ place, children }: { place: Place; children: string }) {
  return <text class="label" x={place.left} y={place.top + 12}>{children}</text>;
}

export function MetricBand({ metric, place }: { metric: Metric; place: Place }) {
  const height = metric.alerts ? HEIGHTS.alert : HEIGHTS.metric;
  const [top, bottom] = [place.top + LABEL + 4, place.top + height - 8];
  const values = metric.lines.flatMap((line) => line.points.flatMap((point) => (point.value === null ? [] : [point.value])));
  const limits = metric.alerts ? [0, 1] : [metric.limit, metric.clear];
  const [low, high] = scaleOf(values, limits);
  const y = (value: number) => bottom - ((value - low) / (high - low)) * (bottom - top);
  const more = metric.more > 0 ? `, and ${metric.more} more series` : "";
  const name = metric.alerts ? `${metric.trigger}: alert, firing above the line` : `${metric.trigger}: fires at ${limitOf(metric)}${metric.clear === metric.limit ? "" : `, clears at ${number(metric.clear)}`}`;
  return (
    <g>
      <Label place={place}>{visible(name + (metric.lines.length === 0 ? ", no value is kept of this time" : more))}</Label>
      <line class="axis" x1={place.left} x2={place.right} y1={bottom} y2={bottom} />
      <line class="bound" x1={place.left} x2={place.right} y1={y(metric.limit)} y2={y(metric.limit)} />
      {metric.clear !== metric.limit && <line class="clear" x1={place.left} x2={place.right} y1={y(metric.clear)} y2={y(metric.clear)} />}
      {metric.lines.map((line, index) => (
        <path key={line.series} class={`value v${index}`} d={lineOf(line.points, place.x, y)} />
      ))}
      {!metric.alerts && [high, low].map((value) => (
        <text key={value} class="scale" x={place.left + 4} y={y(value) + (value === high ? 10 : -3)}>{number(value).slice(0, WIDEST)}</text>
      ))}
    </g>
  );
}

export function PendingBand({ line, place }: { line: Pending; place: Place }) {
  const [top, bottom] = [place.top + LABEL + 4, place.top + HEIGHTS.pending - 8];
  const values = line.points.flatMap((point) => (point.value === null ? [] : [point.value]));
  const [, high] = scaleOf(values, [0, line.limit ?? 1]);
  const y = (value: number) => bottom - (value / high) * (bottom - top);
  const limit = line.limit === null ? "" : `, a batch at ${quantity(line.limit, line.unit)}${line.unit === "bytes" ? "" : ` ${line.unit}`}`;
  const known = line.only_runs ? "; only what runs took is known" : "";
  return (
    <g>
      <Label place={place}>{visible(`${line.trigger}: pending ${line.unit}${limit}${known}`)}</Label>
      <line class="axis" x1={place.left} x2={place.right} y1={bottom} y2={bottom} />
      <path class={line.only_runs ? "value v0" : "area"} d={line.only_runs ? lineOf(line.points, place.x, y) : areaOf(line.points, place.x, y, bottom)} />
      {line.limit !== null && <line class="bound" x1={place.left} x2={place.right} y1={y(line.limit)} y2={y(line.limit)} />}
    </g>
  );
}

/** The reasons to hold, the most frequent first, with the time of each. Decisions are the newest first. */
export function heldBy(decisions: readonly Strip[], until: string): [string, [string, string][]][] {
  const found = new Map<string, [string, string][]>();
  decisions.forEach((decision, index) => {
    if (decision.decision !== "hold") return;
    const spans = found.get(decision.reason) ?? [];
    spans.push([decision.first_at, decisions[index - 1]?.first_at ?? until]);
    found.set(decision.reason, spans);
  });
  return [...found].sort((one, other) => other[1].length - one[1].length).slice(0, MOST_REASONS);
}

export function HoldBand({ reason, spans, place }: { reason: string; spans: readonly (readonly [string, string])[]; place: Place }) {
  return (
    <g>
      <path class="hold" d={barsOf(spans.map(([from, to]) => [place.x(from), place.x(to)]), place.top + 4, HEIGHTS.row - 8)} />
      <text class="label on" x={place.left + 4} y={place.top + 16}>{`held: ${reason.replaceAll("_", " ")}`}</text>
    </g>
  );
}

export function MarkBand({ series, place }: { series: Series; place: Place }) {
  const marks = (kind: string) => series.decisions.filter((each) => each.decision === kind).map((each) => `M${place.x(each.first_at)} ${place.top + 3}v${HEIGHTS.row - 6}`).join("");
  return (
    <g>
      <line class="axis" x1={place.left} x2={place.right} y1={place.top + HEIGHTS.row / 2} y2={place.top + HEIGHTS.row / 2} />
      <path class="fire" d={marks("fire")} />
      <path class="skip-mark" d={marks("skip")} />
      <text class="label on" x={place.left + 4} y={place.top + 16}>fired, skipped</text>
    </g>
  );
}

export function RunBand({ series, place }: { series: Series; place: Place }) {
  const tones = [...new Set(series.runs.map((run) => toneOfPhase(run.phase)))];
  return (
    <g>
      {tones.map((tone) => (
        <path key={tone} class={`run ${tone}`} d={barsOf(series.runs.filter((run) => toneOfPhase(run.phase) === tone).map((run) => [place.x(run.created_at), place.x(run.ended_at ?? series.until)]), place.top + 6, HEIGHTS.row - 12)} />
      ))}
      <text class="label on" x={place.left + 4} y={place.top + 16}>runs</text>
    </g>
  );
}
