import { get, type Event, type Schemas } from "../api/client";
import { Moment, State } from "../parts/basics";
import { DensityStrip } from "../parts/density";
import { FoundEvent, OUTCOMES, outcome } from "../parts/event";
import { ChoiceFilter, Filters, PeriodFilter, SourceFilter, TextFilter, useFilters } from "../parts/filters";
import { Listed } from "../parts/pages";
import { Table } from "../parts/table";
import { Tabs } from "../parts/tabs";
import { to, useAddress, useParameter } from "../state/address";
import { asked, usePages } from "../state/pages";
import { useQuery } from "../state/query";
import { visible } from "../state/text";
import { DeadLetters } from "./dead-letters";

const SHOWN = 50;
const FILTERS = ["source", "outcome", "rule", "since", "until"] as const;

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
          maxLength={1024}
          value={text}
          onChange={(event) => { setText(event.currentTarget.value.trim()); }}
        />
      </label>
      {text === "" ? <Tabs name="tab" tabs={{ Events: () => <Latest />, "Dead letters": () => <DeadLetters /> }} /> : <Search text={text} />}
    </>
  );
}

function Search({ text }: { text: string }) {
  const found = usePages<Schemas["FoundEvent"]>(`find ${text}`, ({ seq }) => seq, (cursor, signal) =>
    get("/api/v1/events/find", { query: asked({ text, limit: 10, cursor }), signal }),
  );
  return (
    <Listed
      pages={found}
      what="event"
      none={<>No event is “{visible(text)}”. It may have been pruned, or never have arrived: <a href={to("/sources")}>Sources</a> shows when each received something.</>}
      beside={<a href={to("/events")}>All events</a>}
    >
      {(rows) => rows.map((event) => <FoundEvent key={event.seq} event={event} />)}
    </Listed>
  );
}

function Latest() {
  const filters = useFilters(...FILTERS);
  const { query, link } = useAddress();
  const events = usePages<Event>(`events ${JSON.stringify(filters)}`, ({ seq }) => seq, (cursor, signal) =>
    get("/api/v1/events", { query: asked({ limit: SHOWN, ...filters, cursor }), signal }),
  );
  const chosen = query.event ?? "";
  return (
    <div class="stack">
      <DensityStrip source={filters.source} />
      <Filters names={FILTERS}>
        <SourceFilter />
        <ChoiceFilter name="outcome" label="Outcome" options={Object.keys(OUTCOMES).filter((each) => each !== "missed")} />
        <TextFilter name="rule" label="Rule that it matched" />
        <PeriodFilter />
      </Filters>
      {chosen !== "" && <Chosen seq={chosen} />}
      <Listed pages={events} what="event" none={Object.keys(filters).length === 0 ? "No event has arrived yet." : "No event is so. Clear a filter to see others."}>
        {(rows) => <EventTable rows={rows} chosen={chosen} link={link} />}
      </Listed>
    </div>
  );
}

function EventTable({ rows, chosen, link }: { rows: readonly Event[]; chosen: string; link: (changes: Record<string, string>) => string }) {
  return (
    <Table
      label="Latest events"
      rows={rows}
      id={(event) => event.seq}
      selected={rows.find(({ seq }) => String(seq) === chosen)}
      columns={[
        { title: "Event", kind: "number", cell: ({ seq }) => <a href={link({ event: String(seq) })}>{seq}</a> },
        { title: "Received", cell: ({ at }) => <Moment at={at} /> },
        { title: "Source", cell: ({ source }) => <a href={to(`/sources/${source}`)}>{source}</a> },
        { title: "Subject", kind: "wrap", cell: ({ subject, id }) => visible(subject || id) },
        { title: "Outcome", cell: (event) => <State tone={OUTCOMES[event.outcome] ?? "idle"}>{outcome(event.outcome)}</State> },
        { title: "Rules", kind: "wrap", cell: ({ rules }) => rules.map(([rule, key]) => `${rule ?? ""}${key ? ` ${visible(key)}` : ""}`).join(", ") },
      ]}
    />
  );
}

/** The event that the address names, above the list from which it was chosen. */
function Chosen({ seq }: { seq: string }) {
  const { link } = useAddress();
  const found = useQuery(`event ${seq}`, (signal) => get("/api/v1/events/find", { query: { text: seq, limit: 20 }, signal }));
  const event = found.data?.items.find((each) => String(each.seq) === seq);
  const close = <a href={link({ event: "" })}>Close</a>;
  if (event) return <FoundEvent event={event} extra={close} />;
  if (found.data === undefined) return <p class={found.problem ? "note bad" : "muted"} role="status">{found.problem?.detail ?? `Loading event ${visible(seq)} …`}</p>;
  return <p class="note wait">There is no event {visible(seq)}, or it was pruned. {close}</p>;
}
