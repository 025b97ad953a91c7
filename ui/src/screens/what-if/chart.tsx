import { useEffect, useRef, useState } from "preact/hooks";

import type { Schemas } from "../../api/client";
import { number } from "../../state/numbers";
import { visible } from "../../state/text";
import { absolute } from "../../state/time";
import { zone } from "../../state/zone";

type Result = Schemas["SimulationResult"];
type Metric = Schemas["MetricChart"];
type Run = Schemas["SimulatedRun"];

const RIGHT = 8;
const METRIC = 130;
const EVENTS = 56;
const ROW = 26;
const AXIS = 20;

interface Axis {
  left: number;
  width: number;
  x: (time: number) => number;
}

/** Events, metrics with both thresholds, and the runs of both and of the record, on one time axis. */
export function Chart({ result, since, until }: { result: Result; since: number; until: number }) {
  const [width, box] = useWidth();
  const left = width < 500 ? 64 : 110;
  const x = (time: number) => left + ((Math.max(since, Math.min(until, time)) - since) / (until - since)) * (width - left - RIGHT);
  const axis = { left, width, x };
  const events = result.events.some((count) => count > 0);
  const metrics = result.metrics.filter((metric) => metric.lines.length > 0);
  const top = (events ? EVENTS : 0) + metrics.length * METRIC;
  const height = top + 3 * ROW + AXIS;
  const mark = (sign: string) => new Set(result.differences.filter((each) => each.run === sign).map((each) => `${each.at} ${each.key}`));
  return (
    <figure ref={box}>
      <svg class="chart" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={summary(result)}>
        <Ticks since={since} until={until} axis={axis} height={height} />
        {events && <Bars counts={result.events} axis={axis} since={since} until={until} />}
        {metrics.map((metric, at) => (
          <g key={metric.name} transform={`translate(0 ${(events ? EVENTS : 0) + at * METRIC})`}><Lines metric={metric} axis={axis} /></g>
        ))}
        {([["recorded", result.recorded.shown, new Set<string>()], ["as it is", result.current.shown, mark("gone")], ["changed", result.proposed.shown, mark("new")]] as const).map(([name, runs, only], row) => (
          <g key={name} transform={`translate(0 ${top + row * ROW})`}><Runs name={name} runs={runs} only={only} axis={axis} until={until} /></g>
        ))}
      </svg>
      <figcaption class="muted legend">
        {metrics.length > 0 && <><span class="key now">threshold as it is</span><span class="key then">changed</span></>}
        <span class="key only">a run that only one of them starts</span>
      </figcaption>
    </figure>
  );
}

function useWidth(): [number, { current: HTMLElement | null }] {
  const box = useRef<HTMLElement>(null);
  const [width, setWidth] = useState(720);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const seen = new ResizeObserver(() => { setWidth(Math.max(240, Math.floor(element.clientWidth))); });
    seen.observe(element);
    return () => { seen.disconnect(); };
  }, []);
  return [width, box];
}

function Ticks({ since, until, axis, height }: { since: number; until: number; axis: Axis; height: number }) {
  const count = axis.width < 500 ? 3 : 6;
  return (
    <>
      {Array.from({ length: count }, (_, tick) => {
        const time = since + ((until - since) * tick) / (count - 1);
        return (
          <g key={tick}>
            <line class="axis" x1={axis.x(time)} x2={axis.x(time)} y1={0} y2={height - AXIS} />
            <text x={axis.x(time)} y={height - 5} text-anchor={tick === 0 ? "start" : tick === count - 1 ? "end" : "middle"}>
              {absolute(time, zone.value).slice(5, 10)}
            </text>
          </g>
        );
      })}
    </>
  );
}

function Bars({ counts, axis, since, until }: { counts: readonly number[]; axis: Axis; since: number; until: number }) {
  const most = Math.max(...counts);
  const length = (until - since) / counts.length;
  const path = counts
    .map((count, at) => [axis.x(since + at * length), axis.x(since + (at + 1) * length), (count / most) * (EVENTS - 16)] as const)
    .filter(([, , height]) => height > 0)
    .map(([from, to, height]) => `M${from.toFixed(1)} ${EVENTS - 4}v${(-Math.max(1, height)).toFixed(1)}h${Math.max(1, to - from).toFixed(1)}V${EVENTS - 4}z`)
    .join("");
  return (
    <>
      <text x={0} y={14}>events</text>
      <text x={0} y={30}>≤ {number(most)}</text>
      <path class="bars" d={path} />
    </>
  );
}

function Lines({ metric, axis }: { metric: Metric; axis: Axis }) {
  const bounds = [metric.current, ...(metric.proposed ? [metric.proposed] : [])].flatMap((each) => [each.bound, each.clear]);
  const values = metric.lines.flatMap((line) => line.points.flatMap(([, value]) => (value === null ? [] : [value])));
  const low = Math.min(0, ...bounds, ...values);
  const high = Math.max(...bounds, ...values);
  const y = (value: number) => METRIC - 10 - ((value - low) / (high - low || 1)) * (METRIC - 24);
  const level = (value: number, kind: string) => <line class={kind} x1={axis.left} x2={axis.width - RIGHT} y1={y(value)} y2={y(value)} />;
  const then = metric.proposed;
  return (
    <>
      <text x={0} y={14}>{visible(metric.name).slice(0, 16)}</text>
      <text x={axis.left - 6} y={y(high) + 4} text-anchor="end">{number(high)}</text>
      <text x={axis.left - 6} y={y(low)} text-anchor="end">{number(low)}</text>
      {metric.lines.map((line) => <path key={line.series} class="value" d={pathOf(line.points, axis.x, y)}><title>{visible(line.series)}</title></path>)}
      {level(metric.current.bound, "bound now")}
      {metric.current.clear !== metric.current.bound && level(metric.current.clear, "clear now")}
      {then && then.bound !== metric.current.bound && level(then.bound, "bound then")}
      {then && then.clear !== then.bound && then.clear !== metric.current.clear && level(then.clear, "clear then")}
    </>
  );
}

/** A line with a gap where there is no data. */
export function pathOf(points: readonly (readonly unknown[])[], x: (time: number) => number, y: (value: number) => number): string {
  let pen = false;
  return points
    .map(([at, value]) => {
      if (typeof at !== "number" || typeof value !== "number") {
        pen = false;
        return "";
      }
      const to = `${pen ? "L" : "M"}${x(at * 1000).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = true;
      return to;
    })
    .join("");
}

function Runs({ name, runs, only, axis, until }: { name: string; runs: readonly Run[]; only: ReadonlySet<string>; axis: Axis; until: number }) {
  return (
    <>
      <text x={0} y={17}>{name}</text>
      {runs.map((run) => {
        const from = axis.x(Date.parse(run.at));
        const end = axis.x(run.ended_at === null ? until : Date.parse(run.ended_at));
        const single = only.has(`${run.at} ${run.key}`);
        const kind = run.phase === "SUCCEEDED" ? "good" : run.ended_at === null ? "" : "bad";
        return (
          <g key={`${run.at} ${run.key} ${run.attempt}`}>
            <rect class={`run ${kind}`} x={from} y={single ? 4 : 9} width={Math.max(3, end - from)} height={single ? ROW - 8 : ROW - 18}>
              <title>{visible(`${absolute(run.at, zone.value)} ${run.key} ${run.reason.replaceAll("_", " ")}: ${run.detail}`)}</title>
            </rect>
            {single && <rect class="only" x={from - 2} y={2} width={Math.max(3, end - from) + 4} height={ROW - 4} />}
          </g>
        );
      })}
    </>
  );
}

function summary(result: Result): string {
  const { current, proposed, differences } = result;
  return `${current.runs} runs as it is, ${proposed.runs} changed, ${differences.length} differences. The tables below have the same.`;
}
