import { useRef, useState } from "preact/hooks";

import { get, type Schemas } from "../api/client";
import { Moment, Panel } from "../parts/basics";
import { ChoiceFilter, Filters, PeriodFilter, SourceFilter, TextFilter, useFilters } from "../parts/filters";
import { Discard, Replay, type Wanted } from "../parts/letter-acts";
import { Listed } from "../parts/pages";
import { Table } from "../parts/table";
import { to, useAddress } from "../state/address";
import { bytes, many } from "../state/numbers";
import { asked, usePages } from "../state/pages";
import { useQuery } from "../state/query";
import { mayAdminister } from "../state/session";
import { visible } from "../state/text";

type Letter = Schemas["DeadLetter"];
type Detail = Schemas["DeadLetterDetail"];

const SHOWN = 50;
const FILTERS = ["source", "reason", "rule", "since", "until"] as const;
const REASONS = ["unreadable", "raised", "too_many_keys"];
/** Letters that one act on "all that match" takes at most. */
const MOST = 5000;

/** Input that could not be processed: why, its content, and what a replay would make of it now. */
export function DeadLetters() {
  const filters = useFilters(...FILTERS);
  const key = JSON.stringify(filters);
  const { query, link } = useAddress();
  const [selected, setSelected] = useState<{ key: string; ids: ReadonlySet<number> }>({ key, ids: new Set() });
  const ids = selected.key === key ? selected.ids : new Set<number>();
  const page = (cursor: string | undefined, limit: number, signal = new AbortController().signal) =>
    get("/api/v1/dead-letters", { query: asked({ limit, ...filters, cursor }), signal });
  const letters = usePages<Letter>(`dead letters ${key}`, ({ id }) => id, (cursor, signal) => page(cursor, SHOWN, signal));
  const all = async (): Promise<Wanted> => {
    const found: number[] = [];
    let cursor: string | undefined;
    do {
      const { items, next } = await page(cursor, 1000);
      found.push(...items.map(({ id }) => id));
      cursor = next ?? undefined;
    } while (cursor !== undefined && found.length < MOST);
    return { ids: found.slice(0, MOST), more: cursor !== undefined || found.length > MOST };
  };
  const select = (id: number) => {
    const next = new Set(ids);
    if (!next.delete(id)) next.add(id);
    setSelected({ key, ids: next });
  };
  const subject = ids.size > 0 ? many(ids.size, "selected letter") : Object.keys(filters).length > 0 ? "all that match" : "all";
  const wanted = ids.size > 0 ? () => Promise.resolve({ ids: [...ids], more: false }) : all;
  const chosen = query.letter ?? "";
  return (
    <div class="stack">
      <Filters names={FILTERS}>
        <SourceFilter />
        <ChoiceFilter name="reason" label="Reason" options={REASONS} />
        <TextFilter name="rule" label="Rule that failed" />
        <PeriodFilter />
      </Filters>
      {chosen !== "" && <Chosen number={chosen} />}
      <Listed
        pages={letters}
        what="dead letter"
        none={Object.keys(filters).length === 0 ? "There are no dead letters: all input could be processed." : "No dead letter is so. Clear a filter to see others."}
        beside={mayAdminister() ? (
          <div class="acts"><Replay subject={subject} wanted={wanted} /><Discard subject={subject} wanted={wanted} /></div>
        ) : <span class="muted">To replay or discard them, a token needs the verb `administer`.</span>}
      >
        {(rows) => (
          <Table
            label="Dead letters"
            rows={rows}
            id={(letter) => letter.id}
            selected={rows.find(({ id }) => String(id) === chosen)}
            columns={[
              ...(mayAdminister() ? [{ title: "Select", cell: ({ id }: Letter) => <input type="checkbox" aria-label={`Select dead letter ${id}`} checked={ids.has(id)} onChange={() => { select(id); }} /> }] : []),
              { title: "Letter", kind: "number", cell: ({ id }) => <a href={link({ letter: String(id) })}>{id}</a> },
              { title: "Received", cell: ({ at }) => <Moment at={at} /> },
              { title: "Source", cell: ({ source }) => <a href={to(`/sources/${source}`)}>{source}</a> },
              { title: "Rule", cell: ({ rule }) => rule && <a href={to(`/rules/${rule}`)}>{rule}</a> },
              { title: "Why", kind: "wrap", cell: ({ reason, error }) => <><strong>{reason.replaceAll("_", " ")}</strong> {visible(error)}</> },
              { title: "Size", kind: "number", cell: ({ size }) => bytes(size) },
            ]}
          />
        )}
      </Listed>
    </div>
  );
}

function Chosen({ number }: { number: string }) {
  const { link } = useAddress();
  const last = useRef<Detail>(undefined);
  const found = useQuery(`letter ${number}`, (signal) => letterOf(Number(number), signal));
  const close = <a href={link({ letter: "" })}>Close</a>;
  if (found.data) last.current = found.data;
  const letter = last.current;
  if (found.data === undefined) return <p class={found.problem ? "note wait" : "muted"} role="status">{found.problem?.detail ?? "Loading the dead letter …"} {found.problem && close}</p>;
  if (letter === undefined) return <p class="note wait">There is no dead letter {visible(number)} any more. {close}</p>;
  const wanted = () => Promise.resolve({ ids: [letter.id], more: false });
  const gone = found.data === null;
  return (
    <Panel title={`Dead letter ${letter.id}`} extra={<><Moment at={letter.at} long /> {close}</>}>
      {gone && <p class="note" role="status">It is no dead letter any more.</p>}
      <dl class="facts">
        <dt>Why</dt><dd>{letter.reason.replaceAll("_", " ")}: {visible(letter.error)}</dd>
        <dt>Rule</dt><dd>{letter.rule === "" ? "none: no rule can read it" : <a href={to(`/rules/${letter.rule}`)}>{letter.rule}</a>}</dd>
        <dt>Source</dt><dd><a href={to(`/sources/${letter.source}`)}>{letter.source}</a></dd>
        <dt>Event</dt><dd class="mono"><a href={to("/events", { text: letter.event })}>{visible(letter.event)}</a></dd>
        <dt>Size</dt><dd>{bytes(letter.size)}{letter.encoding === "base64" && ", shown as base64"}</dd>
      </dl>
      {mayAdminister() && !gone && (
        <div class="acts">
          <Replay subject={`letter ${letter.id}`} wanted={wanted} />
          <Discard subject={`letter ${letter.id}`} wanted={wanted} />
        </div>
      )}
      <pre class="text">{visible(pretty(letter.payload))}</pre>
    </Panel>
  );
}

/** A dead letter; null if it is none any more. The list is asked first, because it answers this without an error. */
async function letterOf(number: number, signal: AbortSignal): Promise<Detail | null> {
  const { items } = await get("/api/v1/dead-letters", { query: { cursor: number + 1, limit: 1 }, signal });
  if (items[0]?.id !== number) return null;
  return get("/api/v1/dead-letters/{number}", { path: { number }, signal });
}

/** JSON on several lines; any other text as it is. */
function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
