import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

import { get, type Schemas } from "../api/client";
import { to } from "../state/address";
import { useQuery } from "../state/query";
import { visible } from "../state/text";
import { toneOfPhase } from "../state/tones";
import { Moment, Panel, State, type Tone } from "./basics";
import { Table } from "./table";

type Found = Schemas["FoundEvent"];
type Effect = Schemas["Effect"];

export const OUTCOMES: Readonly<Record<string, Tone>> = { matched: "good", filtered: "idle", ignored: "idle", dead_lettered: "bad", missed: "wait" };
/** Rules of a source that are offered to try an event on. */
const MOST_RULES = 50;

export function outcome(word: string): string {
  return word.replaceAll("_", " ");
}

/** An event, what each rule made of it up to the runs that consumed it, and what its sender wrote. */
export function FoundEvent({ event, extra }: { event: Found; extra?: ComponentChildren }) {
  return (
    <Panel
      title={`Event ${event.seq}`}
      extra={<><State tone={OUTCOMES[event.outcome] ?? "idle"}>{outcome(event.outcome)}</State> <Moment at={event.at} long /> {extra}</>}
    >
      <dl class="facts">
        <dt>Source</dt><dd><a href={to(`/sources/${event.source}`)}>{event.source}</a></dd>
        <dt>Id</dt><dd class="mono">{visible(event.id)}</dd>
        <dt>Subject</dt><dd class="mono">{visible(event.subject)}</dd>
        <dt>Its own time</dt><dd><Moment at={event.time} long /></dd>
      </dl>
      {event.effects.length === 0 ? (
        <p class="muted">No rule wanted it, and none missed it by one condition only.</p>
      ) : (
        <Table
          label="What each rule made of it"
          rows={event.effects}
          id={(effect) => `${effect.rule} ${effect.key} ${effect.outcome}`}
          columns={[
            { title: "Rule", cell: ({ rule, key }) => <><a href={to(`/rules/${rule}`, { key })}>{rule}</a> <span class="muted">{visible(key)}</span></> },
            { title: "Outcome", cell: (effect) => <State tone={OUTCOMES[effect.outcome] ?? "idle"}>{outcome(effect.outcome)}</State> },
            { title: "Led to", kind: "wrap", cell: (effect) => <LedTo effect={effect} /> },
            { title: "Try", cell: ({ rule }) => <a href={tryOn(rule, event.seq)}>try on {rule}</a> },
          ]}
        />
      )}
      <OtherRules event={event} />
      <details>
        <summary>What the sender wrote</summary>
        <pre class="text">{visible(JSON.stringify({ type: event.type, data: event.data, attributes: event.attributes }, null, 2))}</pre>
      </details>
    </Panel>
  );
}

function tryOn(rule: string, seq: number): string {
  return to(`/rules/${rule}`, { tab: "try", event: String(seq) });
}

function LedTo({ effect }: { effect: Effect }) {
  if (effect.run !== null) return <RunOf run={effect.run} />;
  if (effect.outcome === "missed") return <>{visible(`only this failed: ${effect.detail}`)}</>;
  if (effect.outcome === "dead_lettered") return <>{visible(effect.detail)} <a href={to("/events", { tab: "dead-letters", rule: effect.rule })}>its dead letters</a></>;
  return <>{visible(effect.detail === "" ? "pending: it counts for the next run" : effect.detail)}</>;
}

/** The run that consumed it, with its phase and its Workflow. */
function RunOf({ run }: { run: string }) {
  const found = useQuery(`run ${run}`, (signal) => get("/api/v1/runs/{run}", { path: { run }, signal }));
  const link = <a href={to(`/runs/${run}`)}>run {run.slice(-6)}</a>;
  if (found.data === undefined) return <>input of {link}</>;
  const { phase, workflow } = found.data;
  return <>input of {link} <State tone={toneOfPhase(phase)}>{phase}</State> <span class="muted">{visible(workflow)}</span></>;
}

/** The other rules of its source, to try it on them. They are asked for once somebody wants to see them. */
function OtherRules({ event }: { event: Found }) {
  const [open, setOpen] = useState(false);
  return (
    <details onToggle={(toggled) => { setOpen(toggled.currentTarget.open); }}>
      <summary>Try it on another rule</summary>
      {open && <RulesOf event={event} />}
    </details>
  );
}

function RulesOf({ event }: { event: Found }) {
  const found = useQuery(`rules of ${event.source}`, (signal) => get("/api/v1/rules", { query: { source: event.source, limit: MOST_RULES }, signal }));
  if (found.data === undefined) return <p class="muted">{found.problem?.detail ?? "Loading rules …"}</p>;
  const { items, next } = found.data;
  if (items.length === 0) return <p class="muted">No rule uses {event.source}.</p>;
  return (
    <ul class="chips">
      {items.map(({ name }) => <li key={name}><a class="chip" href={tryOn(name, event.seq)}>{name}</a></li>)}
      {next !== null && <li class="muted">and more: see the tab Try of a rule</li>}
    </ul>
  );
}
