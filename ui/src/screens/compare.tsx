import { useLocation } from "preact-iso";

import { get, type RunDetail } from "../api/client";
import { Missing, Stale, State } from "../parts/basics";
import { to, useParameter } from "../state/address";
import { MOST, type Row, compared, runsOf, sections } from "../state/compared";
import { many } from "../state/numbers";
import { useQuery } from "../state/query";
import { visible } from "../state/text";
import { toneOfPhase } from "../state/tones";

import "../styles/run.css";

/** Two to six runs side by side: what they had, made and cost, and where they differ. */
export function CompareScreen() {
  const ids = runsOf(useLocation().url);
  const [all, setAll] = useParameter("all");
  const wanted = ids.length >= 2 && ids.length <= MOST ? ids : [];
  const found = useQuery(`compare ${wanted.join(" ")}`, (signal) =>
    Promise.all(wanted.map((run) => get("/api/v1/runs/{run}", { path: { run }, signal }))),
    undefined,
    { runs: wanted },
  );
  if (wanted.length === 0) {
    return <><h1>Compare runs</h1><p class="note wait">Two to {MOST} runs can be compared; the address names {ids.length}. <a href={to("/runs")}>Select runs</a></p></>;
  }
  return (
    <>
      <h1>Compare {many(wanted.length, "run")}</h1>
      <Stale problem={found.data && found.problem} />
      {found.data === undefined ? <Missing problem={found.problem} what="runs" /> : <Compared runs={found.data} all={all !== ""} setAll={(value) => { setAll(value ? "1" : "", true); }} />}
    </>
  );
}

function Compared({ runs, all, setAll }: { runs: readonly RunDetail[]; all: boolean; setAll: (all: boolean) => void }) {
  const shown = sections(runs).map(([title, rows]) => [title, all ? rows : rows.filter((row) => row.differs)] as const);
  const differences = shown.flatMap(([, rows]) => rows).filter((row) => row.differs).length;
  return (
    <>
      <div class="acts compare-bar">
        <span role="status">{differences === 0 ? "They do not differ." : many(differences, "difference")}</span>
        <label class="check"><input type="checkbox" checked={all} onChange={(event) => { setAll(event.currentTarget.checked); }} /> Show what is the same, too</label>
      </div>
      <div class="table compare" role="region" aria-label="Comparison" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Differs</th>
              <th scope="col">Of</th>
              {runs.map((run) => (
                <th key={run.id} scope="col">
                  <a class="mono" href={to(`/runs/${run.id}`)}>{run.id.slice(-6)}</a> <State tone={toneOfPhase(run.phase)}>{run.phase}</State>
                  {runs.length > 2 && <> <a href={compared(runs.filter((each) => each !== run).map((each) => each.id))}>leave out<span class="hidden"> run {run.id.slice(-6)}</span></a></>}
                </th>
              ))}
            </tr>
          </thead>
          {shown.filter(([, rows]) => rows.length > 0).map(([title, rows]) => (
            <tbody key={title}>
              <tr class="section"><th scope="colgroup" colSpan={2 + runs.length}>{title}</th></tr>
              {rows.map((row) => <Values key={row.name} row={row} runs={runs} />)}
            </tbody>
          ))}
        </table>
      </div>
    </>
  );
}

function Values({ row, runs }: { row: Row; runs: readonly RunDetail[] }) {
  return (
    <tr class={row.differs ? "differs" : undefined}>
      <td>{row.differs ? <span class="differs-mark">≠ differs</span> : <span class="muted">= same</span>}</td>
      <th scope="row">{visible(row.name)}</th>
      {runs.map((run, at) => <td key={run.id} class="wrap">{row.values[at] === "" ? <span class="muted">none</span> : visible(row.values[at] ?? "")}</td>)}
    </tr>
  );
}
