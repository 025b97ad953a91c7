import { get, type Event, type Schemas } from "../../api/client";
import { Missing, Moment, Panel, State, type Tone } from "../../parts/basics";
import { Listed } from "../../parts/pages";
import { type Column, Table } from "../../parts/table";
import { to, useParameter } from "../../state/address";
import { bytes, many, number } from "../../state/numbers";
import { usePages } from "../../state/pages";
import { useQuery } from "../../state/query";
import { visible } from "../../state/text";
import { isPerKey } from "./configured";

const OUTCOMES: Readonly<Record<string, Tone>> = { matched: "good", dead_lettered: "bad", filtered: "idle", ignored: "idle" };
const SHOWN = 50;

/** What has arrived and no run has taken, by trigger; the events themselves; and the events that counted before. */
export function Data({ line, ruleKey }: { line: Schemas["RuleDetail"]; ruleKey: string }) {
  const rule = line.name;
  const pending = useQuery(`pending ${rule} ${ruleKey}`, (signal) => get("/api/v1/rules/{rule}/pending", { path: { rule }, query: { key: ruleKey }, signal }));
  if (isPerKey(line) && ruleKey === "") return <p class="muted">Each key of this rule has its own data: choose one on the tab Keys.</p>;
  if (pending.data === undefined) return <Missing problem={pending.problem} what="pending data" />;
  if (pending.data.triggers.length === 0) return <p class="muted">No trigger of this rule counts data.</p>;
  return (
    <div class="tab">
      <Table
        label="Pending data by trigger"
        rows={pending.data.triggers}
        id={(each) => each.trigger}
        columns={[
          { title: "Trigger", cell: ({ trigger }) => trigger },
          { title: "Source", cell: ({ source }) => <a href={to("/events", { source })}>{source}</a> },
          { title: "Pending", kind: "wrap", cell: amount },
          { title: "Oldest", cell: ({ oldest_at }) => oldest_at ? <Moment at={oldest_at} /> : <span class="muted">none</span> },
          { title: "Waits for", kind: "wrap", cell: (each) => <><State tone={each.complete ? "good" : "idle"}>{each.complete ? "complete" : each.reason.replaceAll("_", " ")}</State> {visible(each.detail)}{each.until && <>, at the latest <Moment at={each.until} /></>}</> },
        ]}
      />
      <PendingEvents rule={rule} ruleKey={ruleKey} count={pending.data.events} />
      <Counted rule={rule} ruleKey={ruleKey} />
    </div>
  );
}

function amount({ events, bytes: size, rows }: Schemas["PendingTrigger"]): string {
  return [many(events, "event"), ...(size > 0 ? [bytes(size)] : []), ...(rows > 0 ? [many(rows, "row")] : [])].join(", ");
}

const COLUMNS: readonly Column<Event>[] = [
  { title: "Event", kind: "number", cell: ({ seq }) => <a href={to("/events", { text: String(seq) })}>{seq}</a> },
  { title: "Received", cell: ({ at }) => <Moment at={at} /> },
  { title: "Source", cell: ({ source }) => source },
  { title: "Object or subject", kind: "wrap", cell: ({ subject, id }) => visible(subject || id) },
];

function PendingEvents({ rule, ruleKey, count }: { rule: string; ruleKey: string; count: number }) {
  const pages = usePages<Event>(`pending events ${rule} ${ruleKey}`, (event) => event.seq, (cursor, signal) =>
    get("/api/v1/rules/{rule}/pending/events", { path: { rule }, query: { key: ruleKey, limit: SHOWN, ...(cursor === undefined ? {} : { cursor: Number(cursor) }) }, signal }),
  );
  return (
    <Panel title="Pending events, the oldest first">
      <Listed pages={pages} what="event" none={count === 0 ? "No event is pending." : `${number(count)} are pending, and were pruned from the list of events; they still count.`}>
        {(rows) => <Table label="Pending events" rows={rows} id={(event) => event.seq} columns={COLUMNS} />}
      </Listed>
    </Panel>
  );
}

/** The events that matched the rule, pending or not, the latest first. */
function Counted({ rule, ruleKey }: { rule: string; ruleKey: string }) {
  const [open, setOpen] = useParameter("counted");
  return (
    <Panel title="Events that matched this rule" extra={<button aria-expanded={open !== ""} onClick={() => { setOpen(open === "" ? "1" : "", true); }}>{open === "" ? "Show" : "Hide"}</button>}>
      {open === "" ? <p class="muted">Pending or taken by a run.</p> : <Matched rule={rule} ruleKey={ruleKey} />}
    </Panel>
  );
}

function Matched({ rule, ruleKey }: { rule: string; ruleKey: string }) {
  const pages = usePages<Event>(`events of ${rule} ${ruleKey}`, (event) => event.seq, (cursor, signal) =>
    get("/api/v1/events", { query: { rule, limit: SHOWN, ...(ruleKey === "" ? {} : { key: ruleKey }), ...(cursor === undefined ? {} : { cursor: Number(cursor) }) }, signal }),
  );
  return (
    <Listed pages={pages} what="event" none="No event has matched this rule, or they were pruned.">
      {(rows) => (
        <Table
          label="Events that matched"
          rows={rows}
          id={(event) => event.seq}
          columns={[...COLUMNS, { title: "Outcome", cell: ({ outcome }) => <State tone={OUTCOMES[outcome] ?? "idle"}>{outcome.replaceAll("_", " ")}</State> }, { title: "Try it", cell: ({ seq }) => <a href={to(`/rules/${rule}`, { tab: "try-an-event", event: String(seq) })}>Try</a> }]}
        />
      )}
    </Listed>
  );
}
