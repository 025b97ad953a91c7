import { get, type Schemas } from "../api/client";
import { Missing, Moment, Stale, State } from "../parts/basics";
import { Table } from "../parts/table";
import { number } from "../state/numbers";
import { useQuery } from "../state/query";
import { visible } from "../state/text";

type Source = Schemas["Source"];

/** Where events come from: whether each works, how far behind it is, what waits for a decision. */
export function SourcesScreen() {
  const found = useQuery("sources", (signal) => get("/api/v1/sources", { query: { limit: 500 }, signal }));
  return (
    <>
      <h1>Sources</h1>
      <Stale problem={found.data && found.problem} />
      {found.data === undefined ? (
        <Missing problem={found.problem} what="sources" />
      ) : found.data.items.length === 0 ? (
        <p class="muted">There is no source. Write one under `sources` of a rule file.</p>
      ) : (
        <Table
      label="Sources"
          rows={found.data.items}
          id={(source) => source.name}
          columns={[
            { title: "Source", cell: ({ name }) => <strong>{name}</strong> },
            { title: "Type", cell: ({ type }) => type },
            { title: "State", cell: (source) => <SourceState source={source} /> },
            { title: "Lag", kind: "number", cell: ({ lag }) => (lag === null ? "" : number(lag)) },
            { title: "Last event", cell: ({ last_event_at }) => <Moment at={last_event_at} /> },
            { title: "What is wrong", kind: "wrap", cell: trouble },
          ]}
        />
      )}
    </>
  );
}

function SourceState({ source }: { source: Source }) {
  if (source.halted.length > 0) return <State tone="bad">halted</State>;
  if (!source.up) return <State tone="bad">down</State>;
  if (source.silent === true) return <State tone="wait">silent</State>;
  return <State tone="good">up</State>;
}

function trouble({ halted, last_error, silent }: Source): string {
  const parts = halted.map(({ partition, reason }) => `${partition}: ${reason}`);
  if (last_error !== null) parts.push(last_error);
  if (silent === true) parts.push("nothing was received for longer than max_silence");
  return visible(parts.join("; "));
}
