import { get } from "../api/client";
import { to } from "../state/address";
import { useQuery } from "../state/query";
import { visible } from "../state/text";
import { toneOfPhase } from "../state/tones";
import { Missing, Moment, State } from "./basics";
import { Table } from "./table";

/** The runs around a run: what it follows, its attempts, and what follows it. */
export function Chain({ run }: { run: string }) {
  const found = useQuery(`chain ${run}`, (signal) => get("/api/v1/runs/{run}/chain", { path: { run }, signal }));
  if (found.data === undefined) return <Missing problem={found.problem} what="the chain" />;
  const { runs, note } = found.data;
  return (
    <div class="stack chain">
      <Table
        label="Runs of the chain"
        rows={runs}
        id={(row) => row.id ?? `${row.depth} ${row.rule}`}
        selected={runs.find((row) => row.relation === "this")}
        columns={[
          { title: "Rule", kind: "wrap", cell: (row) => <span class={`node depth-${Math.min(row.depth, 8)}`}><a href={to(`/rules/${row.rule}`, { key: row.key })}>{row.rule}</a> {visible(row.key)}</span> },
          { title: "Run", cell: (row) => (row.id === null ? <span class="muted">no run</span> : row.relation === "this" ? <span class="mono">{row.id.slice(-6)} <span class="muted">this one</span></span> : <a class="mono" href={to(`/runs/${row.id}`)}>{row.id.slice(-6)}</a>) },
          { title: "Phase", cell: (row) => (row.phase === null ? <span class="muted">follows this rule</span> : <State tone={toneOfPhase(row.phase)}>{row.phase}</State>) },
          { title: "Attempt", kind: "number", cell: (row) => row.attempt ?? "" },
          { title: "Created", cell: (row) => (row.created_at === null ? "" : <Moment at={row.created_at} />) },
          { title: "Ended", cell: (row) => (row.ended_at ? <Moment at={row.ended_at} /> : "") },
        ]}
      />
      {note !== "" && <p class="muted">{note}</p>}
    </div>
  );
}
