import { useState } from "preact/hooks";

import { get, type Schemas } from "../api/client";
import { Moment, State, type Tone } from "../parts/basics";
import { Listed } from "../parts/pages";
import { Table } from "../parts/table";
import { to, useParameter } from "../state/address";
import { byDay } from "../state/days";
import { now } from "../state/now";
import { usePages } from "../state/pages";
import { visible } from "../state/text";
import { absolute, relative } from "../state/time";
import { zone, zoneName } from "../state/zone";

import "../styles/upcoming.css";

type Entry = Schemas["Upcoming"];
type Answer = Schemas["UpcomingPage"];

const HORIZONS: Readonly<Record<string, readonly [string, number]>> = {
  hour: ["an hour", 1],
  day: ["a day", 24],
  week: ["a week", 7 * 24],
  month: ["30 days", 30 * 24],
};
const KINDS: readonly Entry["kind"][] = [
  "schedule", "data", "metric", "alert", "freshness", "cooldown", "calendar", "budget", "overlap", "deadline", "manual", "backfill", "other",
];
const OUTCOMES: Readonly<Record<Entry["outcome"], readonly [Tone, string]>> = {
  fires: ["good", "fires"],
  waits: ["wait", "waits"],
  held: ["wait", "held"],
  skipped: ["idle", "skipped"],
  each_key: ["active", "each key decides"],
};

/** What all rules will decide if nothing arrives, by day: slots, ends of limits, and what would hold each run. */
export function UpcomingScreen() {
  const [rule, setRule] = useParameter("rule");
  const [kind, setKind] = useParameter("kind");
  const [given, setHorizon] = useParameter("horizon");
  const horizon = given in HORIZONS ? given : "day";
  return (
    <>
      <h1>Upcoming</h1>
      <form class="filters" onSubmit={(event) => { event.preventDefault(); }}>
        <label>
          Rule
          <input id="search" type="search" placeholder="The whole name" value={rule} onChange={(event) => { setRule(event.currentTarget.value.trim()); }} />
        </label>
        <label>
          Kind
          <select value={kind} onChange={(event) => { setKind(event.currentTarget.value); }}>
            <option value="">all</option>
            {KINDS.map((each) => <option key={each} value={each}>{each}</option>)}
          </select>
        </label>
        <label>
          Within
          <select value={horizon} onChange={(event) => { setHorizon(event.currentTarget.value); }}>
            {Object.entries(HORIZONS).map(([name, [words]]) => <option key={name} value={name}>{words}</option>)}
          </select>
        </label>
      </form>
      <Agenda rule={rule} kind={kind} hours={HORIZONS[horizon]?.[1] ?? 24} />
    </>
  );
}

/** The agenda of one rule, or of all with an empty name. */
export function Agenda({ rule, kind, hours }: { rule: string; kind: string; hours: number }) {
  const [last, setLast] = useState<Answer>();
  const pages = usePages(`upcoming ${rule} ${kind} ${hours}`, idOf, async (cursor, signal) => {
    const until = new Date(Date.now() + hours * 3_600_000).toISOString();
    const chosen = KINDS.find((each) => each === kind);
    const query = { limit: 100, until, ...(rule === "" ? {} : { rule }), ...(chosen ? { kind: [chosen] } : {}), ...(cursor === undefined ? {} : { cursor }) };
    const answer = await get("/api/v1/upcoming", { query, signal });
    setLast(answer);
    return answer;
  });
  return (
    <>
      <Listed pages={pages} what="decision" none={none(rule, kind)}>{(entries) => <Days entries={entries} ruleShown={rule === ""} />}</Listed>
      {last && !last.complete && (
        <p class="note wait" role="status">This is computed up to <Moment at={last.until} long /> only. Choose one rule or a shorter time.</p>
      )}
      {last && <p class="muted">This is what happens {last.assumes}.</p>}
    </>
  );
}

function none(rule: string, kind: string): string {
  const whose = rule === "" ? "any rule" : visible(rule);
  return kind === "" ? `Nothing is due by itself for ${whose} in this time. Rules may still fire when data or values arrive.` : `No ${kind} is due for ${whose} in this time.`;
}

function idOf(entry: Entry): string {
  return [entry.at, entry.rule, entry.key, entry.kind, entry.trigger, entry.slot, entry.outcome].join(" ");
}

function Days({ entries, ruleShown }: { entries: readonly Entry[]; ruleShown: boolean }) {
  return (
    <div class="stack">
      {byDay(entries, zone.value).map(([day, rows]) => (
        <section key={day}>
          <h2>{weekday(day)} {day} <span class="muted">{zoneName(zone.value)}</span></h2>
          <Table
            label={`Decisions on ${day}`}
            rows={rows}
            id={idOf}
            columns={[
              { title: "At", cell: At },
              ...(ruleShown ? [{ title: "Rule", cell: RuleLink }] : []),
              { title: "What", cell: What },
              { title: "Then", cell: ({ outcome, shadow }: Entry) => <><State tone={OUTCOMES[outcome][0]}>{OUTCOMES[outcome][1]}</State>{shadow && <span class="muted"> shadow</span>}</> },
              { title: "Why", kind: "wrap", cell: Why },
            ]}
          />
        </section>
      ))}
    </div>
  );
}

function weekday(day: string): string {
  return new Intl.DateTimeFormat("en-GB", { weekday: "long", timeZone: "UTC" }).format(new Date(`${day}T00:00:00Z`));
}

function At({ at }: Entry) {
  return <time dateTime={at} title={`${absolute(at, zone.value)} ${zoneName(zone.value)}`}>{absolute(at, zone.value).slice(11)} <span class="muted">({relative(at, now.value)})</span></time>;
}

function RuleLink({ rule, key }: Entry) {
  return <><a href={to(`/rules/${rule}`, { key })}>{rule}</a> {key !== "" && <span class="muted">{visible(key)}</span>}</>;
}

function What({ kind, trigger, local, zone: own }: Entry) {
  return (
    <>
      {kind}{trigger !== "" && <span class="muted"> {trigger}</span>}
      {local !== "" && <><br /><span class="muted" title={`in ${own}`}>{local.slice(11, 16)} {own}</span></>}
    </>
  );
}

/** The sentence; what else would hold it; what a change of the clock does to it. */
function Why({ detail, clock, held_by }: Entry) {
  return (
    <>
      {held_by.every((held) => held.detail !== detail) && visible(detail)}
      {held_by.map((held) => (
        <p key={`${held.kind} ${held.name}`}>
          <State tone="wait">{HELD[held.kind] ?? held.kind.replaceAll("_", " ")}</State>{" "}
          {visible(held.detail)} {held.until !== null && <>until <Moment at={held.until} /></>}
        </p>
      ))}
      {clock !== "" && <p><State tone="active">clock change</State> {visible(clock)}</p>}
    </>
  );
}

const HELD: Readonly<Record<string, string>> = { muted: "freeze", calendar: "freeze", pool: "pool is full", budget: "budget is used up" };
