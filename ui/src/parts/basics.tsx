import type { ComponentChildren } from "preact";

import type { Problem } from "../api/client";
import { now } from "../state/now";
import { absolute, brief, relative } from "../state/time";
import { zone, zoneName } from "../state/zone";

export type Tone = "good" | "wait" | "bad" | "active" | "idle";

/** A state by shape, colour and word. */
export function State({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return <span class={`state ${tone}`}>{children}</span>;
}

/** A time: absolute with its zone as the title, relative beside it. */
export function Moment({ at, long = false, none = "never" }: { at: string | null | undefined; long?: boolean; none?: string }) {
  if (at === null || at === undefined) return <span class="muted">{none}</span>;
  const shown = long ? absolute(at, zone.value) : brief(at, zone.value, now.value);
  return (
    <time dateTime={at} title={`${absolute(at, zone.value)} ${zoneName(zone.value)}`}>
      {shown}
      {long && <> {zoneName(zone.value)}</>} <span class="muted">({relative(at, now.value)})</span>
    </time>
  );
}

/** What a screen shows in place of an answer: that it is on its way, or why there is none. */
export function Missing({ problem, what }: { problem: Problem | undefined; what: string }) {
  if (problem === undefined) return <p class="muted" role="status">Loading {what} …</p>;
  return (
    <p class="note bad" role="alert">
      {problem.detail}
    </p>
  );
}

/** A line above an old answer that could not be asked for again. */
export function Stale({ problem }: { problem: Problem | undefined }) {
  if (problem === undefined) return null;
  return (
    <p class="note wait" role="status">
      This is the last answer. {problem.detail}
    </p>
  );
}

export function Panel({ title, extra, children }: { title: string; extra?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section class="panel">
      <header>
        <h2>{title}</h2>
        {extra}
      </header>
      <div class="body">{children}</div>
    </section>
  );
}
