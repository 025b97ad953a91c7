import { useEffect, useRef, useState } from "preact/hooks";

import { Missing, Stale } from "../parts/basics";
import { useParameter } from "../state/address";
import { absolute } from "../state/time";
import { zone, zoneName } from "../state/zone";
import { heldBy, HEIGHTS, HoldBand, MarkBand, MetricBand, PendingBand, RunBand, type Place } from "./bands";
import { readSince, type Series } from "./merge";
import { limitOf, readout } from "./readout";
import type { Charted } from "./use-series";
import { ZOOMS, zoomOf, type Window } from "./window";

const DAY = 86_400_000;
const AXIS = 20;
/** Steps of the slider from one end to the other. */
const STEPS = 500;

interface Props {
  charted: Charted;
  at: string;
  onAt: (at: string, replace?: boolean) => void;
}

/** The past of a rule on one axis of time, and the slider that moves the whole screen along it. */
export function Chart({ charted: { data, problem, reading, window }, at, onAt }: Props) {
  const [shown, setShown] = useState<string>();
  if (data === undefined) return <Missing problem={problem} what="the chart" />;
  const end = window.live ? Date.parse(data.until) : window.until;
  const moment = shown ?? (at === "" ? data.until : at);
  const texts = readout(data, moment);
  return (
    <figure class="past">
      <Stale problem={problem} />
      <Plot data={data} window={{ ...window, until: end }} at={at} onShown={setShown} onAt={onAt} />
      <Slider since={window.since} until={end} live={window.live} at={at} text={texts.join(", ")} onAt={onAt} />
      <figcaption class="readout">
        <time dateTime={moment}>{`${absolute(moment, zone.value)} ${zoneName(zone.value)}`}</time>
        {texts.length === 0 ? <span class="muted">nothing is known of this time</span> : texts.map((text) => <span key={text}>{text}</span>)}
      </figcaption>
      {reading && <p class="muted" role="status">Reading earlier values …</p>}
    </figure>
  );
}

/** How much time is shown; in the address. */
export function Zooms() {
  const [given, set] = useParameter("zoom");
  const zoom = zoomOf(given);
  return (
    <span class="zooms" role="group" aria-label="Time shown">
      {Object.keys(ZOOMS).map((each) => (
        <button key={each} class="plain" aria-pressed={each === zoom} onClick={() => { set(each === "day" ? "" : each, true); }}>
          {each === "all" ? "all kept" : each}
        </button>
      ))}
    </span>
  );
}

function useWidth(): [{ current: HTMLDivElement | null }, number] {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(720);
  useEffect(() => {
    const watch = new ResizeObserver(([entry]) => { if (entry) setWidth(Math.max(240, Math.floor(entry.contentRect.width))); });
    if (box.current) watch.observe(box.current);
    return () => { watch.disconnect(); };
  }, []);
  return [box, width];
}

interface PlotProps {
  data: Series;
  window: Window;
  at: string;
  onShown: (at: string | undefined) => void;
  onAt: (at: string) => void;
}

function Plot({ data, window: { since, until }, at, onShown, onAt }: PlotProps) {
  const [box, width] = useWidth();
  const [cursor, setCursor] = useState<number>();
  const x = (time: number | string) => {
    const moment = typeof time === "number" ? time : Date.parse(time);
    return Math.round(((Math.max(since, Math.min(until, moment)) - since) / (until - since)) * width * 10) / 10;
  };
  let height = 0;
  const place = (more: number): Place => {
    const top = height;
    height += more;
    return { top, left: 0, right: width, x };
  };
  const held = heldBy(data.decisions, data.until);
  const bands = [
    ...data.metrics.map((metric) => <MetricBand key={`metric ${metric.trigger}`} metric={metric} place={place(metric.alerts ? HEIGHTS.alert : HEIGHTS.metric)} />),
    ...data.pending.map((line) => <PendingBand key={`data ${line.trigger} ${line.unit}`} line={line} place={place(HEIGHTS.pending)} />),
    ...held.map(([reason, spans]) => <HoldBand key={`held ${reason}`} reason={reason} spans={spans} place={place(HEIGHTS.row)} />),
    <MarkBand key="marks" series={data} place={place(HEIGHTS.row)} />,
    <RunBand key="runs" series={data} place={place(HEIGHTS.row)} />,
  ];
  const timeAt = (event: MouseEvent): number => {
    const rectangle = (event.currentTarget as Element).getBoundingClientRect();
    return since + Math.max(0, Math.min(1, (event.clientX - rectangle.left) / rectangle.width)) * (until - since);
  };
  const move = (time: number | undefined) => {
    setCursor(time);
    onShown(time === undefined ? undefined : new Date(time).toISOString());
  };
  return (
    <div ref={box}>
      <svg
        class="chart" width={width} height={height + AXIS} viewBox={`0 0 ${width} ${height + AXIS}`} role="img" aria-label={summary(data)}
        onClick={(event) => { onAt(new Date(timeAt(event)).toISOString()); }}
        onMouseMove={(event) => { move(timeAt(event)); }}
        onMouseLeave={() => { move(undefined); }}
      >
        <Ticks since={since} until={until} width={width} height={height} x={x} />
        <NotKept data={data} since={since} until={until} height={height} x={x} />
        {bands}
        {at !== "" && <line class="at" x1={x(at)} x2={x(at)} y1={0} y2={height} />}
        {cursor !== undefined && <line class="cursor" x1={x(cursor)} x2={x(cursor)} y1={0} y2={height} />}
      </svg>
    </div>
  );
}

interface Scaled {
  since: number;
  until: number;
  height: number;
  x: (time: number | string) => number;
}

function Ticks({ since, until, width, height, x }: Scaled & { width: number }) {
  const count = width < 480 ? 3 : width < 800 ? 5 : 7;
  return (
    <g>
      {Array.from({ length: count }, (_, tick) => {
        const time = since + ((until - since) * tick) / (count - 1);
        const text = absolute(time, zone.value);
        return (
          <g key={tick}>
            <line class="axis" x1={x(time)} x2={x(time)} y1={0} y2={height} />
            <text x={x(time)} y={height + 14} text-anchor={tick === 0 ? "start" : tick === count - 1 ? "end" : "middle"}>
              {until - since > 2 * DAY ? text.slice(5, 10) : until - since > 7_200_000 ? text.slice(11, 16) : text.slice(11, 19)}
            </text>
          </g>
        );
      })}
    </g>
  );
}

/** What lies before the first decision and the last pruned event is not kept: it is not nothing. */
function NotKept({ data, since, until, height, x }: Scaled & { data: Series }) {
  const { decisions_since, events_since } = data.kept;
  const first = Date.parse(decisions_since ?? data.until);
  const events = events_since === null ? 0 : Date.parse(events_since);
  const to = Math.min(until, Math.max(first, events));
  if (to <= since) return null;
  return <rect class="not-kept" x={0} y={0} width={x(to)} height={height} />;
}

/** The words of the shaded time; beside the chart, so that they wrap and are read. */
export function KeptNote({ charted: { data, window, reading } }: { charted: Charted }) {
  if (data === undefined) return null;
  const { decisions_since, events_since } = data.kept;
  const words: string[] = [];
  if (decisions_since === null) words.push("No decision of this rule is kept yet.");
  else if (Date.parse(decisions_since) > window.since) words.push(`No decision is kept from before ${absolute(decisions_since, zone.value)} ${zoneName(zone.value)}.`);
  if (events_since !== null && Date.parse(events_since) > window.since) words.push(`Values and data are not kept from before ${absolute(events_since, zone.value)} ${zoneName(zone.value)}: those events were pruned.`);
  const read = readSince(data);
  const left = !reading && read > data.since;
  return (
    <>
      {words.length > 0 && <p class="muted">Shaded: {words.join(" ")}</p>}
      {left && <p class="muted">Values from before {absolute(read, zone.value)} {zoneName(zone.value)} are not shown: there are too many events. Choose a shorter time.</p>}
    </>
  );
}

interface SliderProps {
  since: number;
  until: number;
  live: boolean;
  at: string;
  text: string;
  onAt: (at: string, replace?: boolean) => void;
}

function Slider({ since, until, live, at, text, onAt }: SliderProps) {
  const value = at === "" ? until : Date.parse(at);
  const step = Math.max(1, Math.round((until - since) / STEPS));
  const move = (event: Event) => {
    const time = Number((event.currentTarget as HTMLInputElement).value);
    onAt(live && time > until - step ? "" : new Date(time).toISOString(), at !== "");
  };
  return (
    <input
      type="range" class="slider" aria-label="Moment shown" min={since} max={until} step={step} value={value} onChange={move}
      aria-valuetext={`${at === "" ? "now" : `${absolute(at, zone.value)} ${zoneName(zone.value)}`}: ${text}`}
    />
  );
}

function summary(data: Series): string {
  const metrics = data.metrics.map((metric) => {
    const values = metric.lines.flatMap((line) => line.points.flatMap((point) => (point.value === null ? [] : [point.value])));
    if (values.length === 0) return `${metric.trigger}: no values.`;
    const [low, high] = values.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [Infinity, -Infinity]);
    return `${metric.trigger}: from ${low} to ${high}, fires at ${limitOf(metric)}.`;
  });
  const held = heldBy(data.decisions, data.until).map(([reason]) => reason.replaceAll("_", " "));
  const fired = data.decisions.filter((each) => each.decision === "fire").length;
  return [...metrics, held.length > 0 ? `Held for ${held.join(", ")}.` : "Never held.", `Fired ${fired} times, ${data.runs.length} runs.`].join(" ");
}
