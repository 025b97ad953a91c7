import { get, type Schemas } from "../api/client";
import { Missing, Moment, Stale, State } from "../parts/basics";
import { Table } from "../parts/table";
import { to } from "../state/address";
import { many, number } from "../state/numbers";
import { useQuery } from "../state/query";
import { visible } from "../state/text";

import "../styles/sources.css";

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
            { title: "Source", cell: ({ name }) => <a href={to(`/sources/${name}`)}><strong>{name}</strong></a> },
            { title: "Type", cell: ({ type }) => type },
            { title: "State", cell: (source) => <SourceState source={source} /> },
            { title: "Lag", kind: "number", cell: ({ lag }) => (lag === null ? "" : number(lag)) },
            { title: "Last event", cell: ({ last_event_at }) => <Moment at={last_event_at} /> },
            { title: "What is wrong", kind: "wrap", cell: (source) => <Trouble source={source} /> },
          ]}
        />
      )}
    </>
  );
}

export function SourceState({ source }: { source: Source }) {
  if (source.halted.length > 0) return <State tone="bad">halted</State>;
  if (!source.up) return <State tone="bad">down</State>;
  if (source.silent === true) return <State tone="wait">silent</State>;
  return <State tone="good">up</State>;
}

function Trouble({ source }: { source: Source }) {
  const { name, halted, last_error, silent } = source;
  if (halted.length > 0) {
    return (
      <>
        {visible(`${halted[0]?.partition ?? ""}: ${halted[0]?.reason ?? ""}`)}
        {halted.length > 1 && ` and ${many(halted.length - 1, "more part")}`} <a href={to(`/sources/${name}`)}>the way out</a>
      </>
    );
  }
  if (last_error !== null) return <>{visible(last_error)}</>;
  return <>{silent === true && "nothing was received for longer than max_silence"}</>;
}
