import { useEffect, useState } from "preact/hooks";

import { get, post, Problem, type Event, type Schemas } from "../../api/client";
import { Missing, Panel, State } from "../../parts/basics";
import { KeyField } from "../../parts/key-field";
import { Table } from "../../parts/table";
import { to, useParameter } from "../../state/address";
import { bytes, number } from "../../state/numbers";
import { useQuery } from "../../state/query";
import { visible } from "../../state/text";
import { sourcesOf } from "./configured";

type Answer = Schemas["TriggerAnswer"];
type Condition = Schemas["Condition"];

/** Paste an event, or choose a kept one, and see what each trigger of the rule makes of it, condition by condition. */
export function TryEvent({ line }: { line: Schemas["RuleDetail"] }) {
  const [given, setGiven] = useParameter("event");
  const [source = ""] = sourcesOf(line);
  const kept = useQuery(`event ${given} of ${source}`, (signal) => keptEvent(given, source, signal));
  if (source === "") return <p class="muted">No trigger of this rule takes events: it has schedules and other rules only.</p>;
  return (
    <div class="tab">
      <p class="muted">Nothing is counted, and nothing starts. An event is tried with the rule as it is in force now.</p>
      <KeyField label="Number of a kept event" value={given} set={setGiven} hint="the latest" />
      {kept.data === undefined ? <Missing problem={kept.problem} what="the event" /> : <Attempt key={given} rule={line.name} latest={kept.data} source={source} />}
    </div>
  );
}

async function keptEvent(given: string, source: string, signal: AbortSignal): Promise<Event | null> {
  if (source === "") return null;
  if (/^\d{1,15}$/.test(given)) return get("/api/v1/events/{seq}", { path: { seq: Number(given) }, signal });
  if (given !== "") throw new Problem(0, `“${given}” is not a number of an event: the list of events has them.`);
  const latest = await get("/api/v1/events", { query: { source, limit: 1 }, signal });
  return latest.items[0] ?? null;
}

/** The parts of an event that conditions read, as a text to change. */
function textOf(event: Event | null, source: string): string {
  const { id, type, subject, data, attributes } = event ?? { id: "", type: "", subject: "", data: {}, attributes: {} };
  const shown = { source: event?.source ?? source, type, subject, id, data, ...(Object.keys(attributes).length > 0 ? { attributes } : {}) };
  return visible(JSON.stringify(shown, null, 2)); // in JSON, what is made visible still means the same
}

/** An attempt begins with the event that was there first: a later one must not replace what the reader wrote. */
function Attempt({ rule, latest, source }: { rule: string; latest: Event | null; source: string }) {
  const [event] = useState(latest);
  const [text, setText] = useState(() => textOf(event, source));
  const [found, setFound] = useState<{ answer?: readonly Answer[]; problem?: string }>({});
  useEffect(() => {
    const request = new AbortController();
    const timer = setTimeout(() => {
      attempt(rule, text, request.signal).then(setFound, (error: unknown) => {
        if (!request.signal.aborted) setFound({ problem: error instanceof Problem ? error.detail : String(error) });
      });
    }, 300);
    return () => {
      clearTimeout(timer);
      request.abort();
    };
  }, [rule, text]);
  return (
    <>
      <p class="muted">{event === null ? `No event of ${source} is among the latest.` : <>This is <a href={to("/events", { text: String(event.seq) })}>event {event.seq}</a>.</>}</p>
      <label>
        The event, or only its data, as JSON
        <textarea rows={14} spellcheck={false} autocomplete="off" autocapitalize="off" aria-invalid={found.problem !== undefined} aria-describedby="try-problem" value={text} onInput={(change) => { setText(change.currentTarget.value); }} />
      </label>
      <p id="try-problem" class={found.problem === undefined ? "hidden" : "note bad"} role="alert">{visible(found.problem ?? "")}</p>
      <div role="status">
        {found.answer?.length === 0 && <p class="muted">No trigger of this rule takes pushed events: its values are polled.</p>}
        {found.answer?.map((each) => <OfTrigger key={each.trigger} answer={each} />)}
      </div>
    </>
  );
}

async function attempt(rule: string, text: string, signal: AbortSignal): Promise<{ answer?: readonly Answer[]; problem?: string }> {
  let event: unknown;
  try {
    event = JSON.parse(text);
  } catch (error) {
    return { problem: `This is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (typeof event !== "object" || event === null || Array.isArray(event)) return { problem: "Write an event as a JSON object, such as {\"data\": {\"kind\": \"file\"}}." };
  const explanation = await post("/api/v1/rules/{rule}/explain", { path: { rule }, body: { event: event as Record<string, unknown> }, signal });
  return { answer: explanation.event ?? [] };
}

function OfTrigger({ answer }: { answer: Answer }) {
  const failed = answer.conditions.filter((condition) => !condition.holds);
  const near = failed.length === 1 && !answer.error;
  const reads = counted(answer);
  return (
    <Panel title={`Trigger ${answer.trigger}`} extra={<State tone={answer.matches ? "good" : near ? "wait" : "idle"}>{answer.matches ? "counts it" : near ? "only one condition fails" : "does not count it"}</State>}>
      <Table
        label={`Conditions of ${answer.trigger}`}
        rows={answer.conditions}
        id={(condition) => condition.name}
        columns={[
          { title: "Condition", cell: ({ name }) => <code>{visible(name)}</code> },
          { title: "Wanted", kind: "wrap", cell: ({ expected }) => <code>{visible(typeof expected === "string" ? expected : JSON.stringify(expected))}</code> },
          { title: "Holds", kind: "wrap", cell: holds },
        ]}
      />
      {answer.error && <p class="note bad">{visible(answer.error)}</p>}
      {reads !== "" && <p>{visible(reads)}</p>}
    </Panel>
  );
}

function holds({ holds: does, said, error }: Condition) {
  return <><State tone={does ? "good" : "bad"}>{does ? "holds" : "fails"}</State> {visible(said ?? error ?? "")}</>;
}

/** What the trigger takes from the event. */
function counted({ key, bytes: size, rows, series, value }: Answer): string {
  const parts = [
    key && `key ${key}`,
    size && bytes(size),
    rows && `${number(rows)} rows`,
    typeof series === "string" && `series ${series}`,
    typeof value === "number" && `value ${number(value)}`,
  ].filter((part) => typeof part === "string" && part !== "");
  return parts.length === 0 ? "" : `It reads: ${parts.join(", ")}.`;
}
