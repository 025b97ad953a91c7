import { useState } from "preact/hooks";

import type { Schemas } from "../../api/client";
import { Missing, Moment, Panel, State } from "../../parts/basics";
import { Copy } from "../../parts/copy";
import { Table, type Column } from "../../parts/table";
import { many, number } from "../../state/numbers";
import type { Simulated } from "../../state/simulation";
import { visible } from "../../state/text";
import { Chart } from "./chart";

type Variant = Schemas["VariantResult"];
type Answer = Schemas["SimulationResult"];

export function Result({ simulated, changed, rule }: { simulated: Simulated; changed: boolean; rule: string }) {
  const { result, shown, problem } = simulated;
  const runs = shown?.ended_at === null && shown.phase !== "cancelled";
  return (
    <div class="result">
      <div class="progress" role="status">
        {problem !== undefined && <p class="note bad">{problem.detail} <button onClick={simulated.again}>Try again</button></p>}
        {shown?.phase === "failed" && problem === undefined && <p class="note bad">{visible(shown.detail)}</p>}
        {shown?.phase === "cancelled" && <p class="note">Cancelled. <button onClick={simulated.again}>Play it again</button></p>}
        {shown?.phase === "succeeded" && problem === undefined && <p class="muted">{took(shown)}</p>}
        {runs && problem === undefined && (
          <p class="note">
            <progress aria-label="Progress" value={shown.progress} max={1} /> {Math.round(shown.progress * 100)} %: {visible(shown.detail)}{" "}
            <button onClick={simulated.cancel}>Cancel</button>
          </p>
        )}
      </div>
      {result === undefined || shown === undefined ? (
        shown?.phase !== "failed" && problem === undefined && <Missing problem={undefined} what="the simulation" />
      ) : (
        <Found result={result} simulation={shown} changed={changed} rule={rule} stale={runs} />
      )}
    </div>
  );
}

function took(shown: Schemas["Simulation"]): string {
  const seconds = (Date.parse(shown.ended_at ?? "") - Date.parse(shown.started_at ?? "")) / 1000;
  return `Played in ${number(Math.round(seconds * 10) / 10)} s.`;
}

interface FoundProps {
  result: Answer;
  simulation: Schemas["Simulation"];
  changed: boolean;
  rule: string;
  stale: boolean;
}

function Found({ result, simulation, changed, rule, stale }: FoundProps) {
  return (
    <div class={stale ? "played stale" : "played"} aria-busy={stale}>
      <p class="verdict" aria-live="polite">{sentence(result, changed)}</p>
      <Panel title="Both on one time axis" extra={<span class="muted">{stale ? "of the numbers before" : `${many(result.current.runs, "run")} as it is, ${number(result.proposed.runs)} as changed`}</span>}>
        <Chart result={result} since={Date.parse(simulation.since)} until={Date.parse(simulation.until)} />
      </Panel>
      <Panel title="Sums">
        <Sums result={result} />
      </Panel>
      <Panel title="Runs that only one of them starts">
        <Differences result={result} />
      </Panel>
      <Panel title="How far to trust it" extra={<State tone={result.agrees ? "good" : "wait"}>{result.agrees ? "agrees with the record" : "differs from the record"}</State>}>
        <p>{visible(result.agreement)}</p>
        <ul class="assumed">{result.assumptions.map((each) => <li key={each}>{visible(each)}</li>)}</ul>
      </Panel>
      {changed && !stale && <Kept result={result} rule={rule} />}
    </div>
  );
}

function sentence(result: Answer, changed: boolean): string {
  if (!changed) return `As it is, the rule starts ${many(result.current.runs, "run")} in this time. Move a number to compare.`;
  const more = result.proposed.runs - result.current.runs;
  const compared = more === 0 ? "as many as now" : `${number(Math.abs(more))} ${more > 0 ? "more" : "fewer"} than now`;
  return `Changed, the rule starts ${many(result.proposed.runs, "run")} in this time, ${compared}.`;
}

/** Sums of the three sides, one line each. */
function Sums({ result }: { result: Answer }) {
  const reasons = [...new Set([...Object.keys(result.current.held), ...Object.keys(result.proposed.held)])];
  const rows: (readonly [string, (side: Variant) => number])[] = [
    ["runs", (side) => side.runs],
    ["hours of runs", (side) => side.run_hours],
    ["GPU hours", (side) => side.gpu_hours],
    ...reasons.map((reason) => [`held: ${reason.replaceAll("_", " ")}`, (side: Variant) => side.held[reason] ?? 0] as const),
  ];
  const columns: Column<(typeof rows)[number]>[] = [
    { title: "Sum", cell: ([title]) => title },
    { title: "Recorded", kind: "number", cell: ([title, of]) => (title.startsWith("held") ? "" : number(of(result.recorded))) },
    { title: "As it is", kind: "number", cell: ([, of]) => number(of(result.current)) },
    { title: "Changed", kind: "number", cell: ([, of]) => number(of(result.proposed)) },
    { title: "Difference", kind: "number", cell: ([, of]) => signed(of(result.proposed) - of(result.current)) },
  ];
  return <Table label="Sums of both" columns={columns} rows={rows} id={([title]) => title} />;
}

function signed(value: number): string {
  return value === 0 ? "" : `${value > 0 ? "+" : "−"}${number(Math.abs(Math.round(value * 1000) / 1000))}`;
}

function Differences({ result }: { result: Answer }) {
  if (result.differences.length === 0) return <p class="muted">Both start the same runs.</p>;
  const keyed = result.differences.some((each) => each.key !== "");
  const columns: Column<Schemas["RunDifference"]>[] = [
    { title: "Run", cell: (each) => (each.run === "new" ? <State tone="active">new</State> : <State tone="idle">gone</State>) },
    { title: "At", cell: (each) => <Moment at={each.at} /> },
    ...(keyed ? [{ title: "Key", cell: (each: Schemas["RunDifference"]) => visible(each.key) }] : []),
    { title: "Reason", cell: (each) => each.reason.replaceAll("_", " ") },
    { title: "What the other one decided", kind: "wrap", cell: (each) => visible(each.why) },
  ];
  return (
    <>
      <Table label="Runs that only one of them starts" columns={columns} rows={result.differences} id={(each) => `${each.at} ${each.key} ${each.run}`} />
      {result.differences_left_out > 0 && <p class="muted">{many(result.differences_left_out, "more difference")} not shown.</p>}
    </>
  );
}

/** The change as text, for a pull request. */
function Kept({ result, rule }: { result: Answer; rule: string }) {
  const [shadow, setShadow] = useState(false);
  const shown = shadow ? result.shadow : result.changed;
  return (
    <Panel title="Keep it">
      <div class="acts" role="group" aria-label="What to keep">
        <button aria-pressed={!shadow} onClick={() => { setShadow(false); }}>Change the rule</button>
        <button aria-pressed={shadow} onClick={() => { setShadow(true); }}>Keep as shadow rule</button>
      </div>
      <p>
        {shadow
          ? `A rule beside ${rule} with these numbers and mode: shadow. It decides and is recorded, and submits nothing.`
          : `The rule ${rule} with these numbers.`}{" "}
        No file was changed: add it to <code>{visible(shown.file)}</code>, for example by a pull request.
      </p>
      {shown.problems.map((each) => <p key={each} class="note bad">{visible(each)}</p>)}
      <div class="acts">
        <Copy key={`yaml ${shown.yaml}`} text={shown.yaml} what="Copy as YAML" />
        <Copy key={`diff ${shown.diff}`} text={shown.diff} what="Copy the difference" />
      </div>
      <pre class="text" tabIndex={0} aria-label={shadow ? "Difference of the file with the shadow rule" : "Difference of the file with the changed rule"}>{visible(shown.diff)}</pre>
    </Panel>
  );
}
