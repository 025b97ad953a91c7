import { get, type Schemas } from "../api/client";
import { Missing, Moment, Panel, Stale, State, type Tone } from "../parts/basics";
import { Table } from "../parts/table";
import { to, useParameter } from "../state/address";
import { bytes } from "../state/numbers";
import { useQuery } from "../state/query";
import { visible } from "../state/text";

type Found = Schemas["FoundEvent"];
type Effect = Schemas["Effect"];

const TONES: Readonly<Record<string, Tone>> = { matched: "good", dead_lettered: "bad", missed: "wait", filtered: "idle", ignored: "idle" };
const SHOWN = 50;

/** Search by number, id, object or subject: what each rule made of an event, and which one condition failed. */
export function EventsScreen() {
  const [text, setText] = useParameter("text");
  return (
    <>
      <h1>Events</h1>
      <label>
        <span class="hidden">Search an event</span>
        <input
          id="search"
          type="search"
          placeholder="Number, id, bucket/key or subject"
          value={text}
          onChange={(event) => { setText(event.currentTarget.value.trim()); }}
        />
      </label>
      {text === "" ? <Latest /> : <Search text={text} />}
    </>
  );
}

function Search({ text }: { text: string }) {
  const found = useQuery(`find ${text}`, (signal) => get("/api/v1/events/find", { query: { text, limit: 20 }, signal }));
  if (found.data === undefined) return <Missing problem={found.problem} what="events" />;
  const { items, next } = found.data;
  return (
    <>
      <Stale problem={found.problem} />
      {items.length === 0 && (
        <p class="muted">
          No event is “{visible(text)}”{next !== null && ", among the latest that were searched"}. It may have been pruned, or never have arrived: <a href={to("/sources")}>Sources</a> shows when each received something.
        </p>
      )}
      {items.map((event) => <FoundEvent key={event.seq} event={event} />)}
    </>
  );
}

function FoundEvent({ event }: { event: Found }) {
  return (
    <Panel
      title={`Event ${event.seq}`}
      extra={<><State tone={TONES[event.outcome] ?? "idle"}>{event.outcome.replaceAll("_", " ")}</State> <Moment at={event.at} /></>}
    >
      <dl class="facts">
        <dt>Source</dt><dd>{event.source}</dd>
        <dt>Id</dt><dd class="mono">{visible(event.id)}</dd>
        <dt>Subject</dt><dd class="mono">{visible(event.subject)}</dd>
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
            { title: "Outcome", cell: ({ outcome }) => <State tone={TONES[outcome] ?? "idle"}>{outcome.replaceAll("_", " ")}</State> },
            { title: "Detail", kind: "wrap", cell: detail },
          ]}
        />
      )}
      <details>
        <summary>What the sender wrote</summary>
        <pre class="text">{visible(JSON.stringify(event.data, null, 2))}</pre>
      </details>
    </Panel>
  );
}

function detail({ outcome, run, detail }: Effect) {
  if (run !== null) return <>input of <a href={to(`/runs/${run}`)}>run {run.slice(-6)}</a></>;
  if (outcome === "missed") return visible(`only this failed: ${detail}`);
  return visible(detail === "" ? "pending" : detail);
}

function Latest() {
  const events = useQuery("events", (signal) => get("/api/v1/events", { query: { limit: SHOWN }, signal }));
  const letters = useQuery("dead letters", (signal) => get("/api/v1/dead-letters", { query: { limit: SHOWN }, signal }));
  return (
    <>
      {letters.data && letters.data.items.length > 0 && (
        <Panel title="Dead letters: input that could not be processed">
          <Table
            label="Dead letters"
            rows={letters.data.items}
            id={(letter) => letter.id}
            columns={[
              { title: "Number", kind: "number", cell: ({ id }) => id },
              { title: "Received", cell: ({ at }) => <Moment at={at} /> },
              { title: "Source", cell: ({ source }) => source },
              { title: "Rule", cell: ({ rule }) => rule && <a href={to(`/rules/${rule}`)}>{rule}</a> },
              { title: "Error", kind: "wrap", cell: ({ error }) => visible(error) },
              { title: "Size", kind: "number", cell: ({ size }) => bytes(size) },
            ]}
          />
        </Panel>
      )}
      <Panel title="Latest events">
        {events.data === undefined ? (
          <Missing problem={events.problem} what="events" />
        ) : events.data.items.length === 0 ? (
          <p class="muted">No event has arrived yet.</p>
        ) : (
          <Table
            label="Latest events"
            rows={events.data.items}
            id={(event) => event.seq}
            columns={[
              { title: "Event", kind: "number", cell: ({ seq }) => <a href={to("/events", { text: String(seq) })}>{seq}</a> },
              { title: "Received", cell: ({ at }) => <Moment at={at} /> },
              { title: "Source", cell: ({ source }) => source },
              { title: "Subject", kind: "wrap", cell: ({ subject, id }) => visible(subject || id) },
              { title: "Outcome", cell: ({ outcome }) => <State tone={TONES[outcome] ?? "idle"}>{outcome.replaceAll("_", " ")}</State> },
              { title: "Rules", kind: "wrap", cell: ({ rules }) => rules.map(([rule, key]) => `${rule ?? ""}${key ? ` ${visible(key)}` : ""}`).join(", ") },
            ]}
          />
        )}
      </Panel>
    </>
  );
}
