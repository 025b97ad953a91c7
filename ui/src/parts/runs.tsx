import type { Problem, Run } from "../api/client";
import { to } from "../state/address";
import { visible } from "../state/text";
import { span } from "../state/time";
import { toneOfPhase } from "../state/tones";
import { Missing, Moment, State } from "./basics";
import { type Column, Table } from "./table";

interface Props {
  runs: readonly Run[] | undefined;
  problem: Problem | undefined;
  ruleShown?: boolean;
  none?: string;
  /** Those that are selected, and what selects one or not. */
  selection?: { chosen: ReadonlySet<string>; toggle: (run: string) => void };
}

const RULE: Column<Run> = {
  title: "Rule",
  kind: "wrap",
  cell: ({ rule, key }) => (
    <>
      <a href={to(`/rules/${rule}`, { key })}>{rule}</a> <span class="muted">{visible(key)}</span>
    </>
  ),
};
const COLUMNS: readonly Column<Run>[] = [
  { title: "Run", cell: ({ id }) => <a class="mono" href={to(`/runs/${id}`)}>{id.slice(-6)}</a> },
  RULE,
  { title: "Phase", cell: ({ phase }) => <State tone={toneOfPhase(phase)}>{phase}</State> },
  { title: "Created", cell: ({ created_at }) => <Moment at={created_at} /> },
  { title: "Took", kind: "number", cell: took },
  { title: "Reason", cell: ({ reason }) => reason.replaceAll("_", " ") },
  { title: "Promoted", cell: ({ promoted }) => (promoted === null ? "" : promoted ? <State tone="good">yes</State> : <span class="muted">no</span>) },
  { title: "Message", kind: "wrap", cell: ({ message }) => visible(message) },
];

/** Runs, the latest first. */
export function Runs({ runs, problem, ruleShown = false, none = "There is no run yet.", selection }: Props) {
  if (runs === undefined) return <Missing problem={problem} what="runs" />;
  if (runs.length === 0) return <p class="muted">{none}</p>;
  const columns = COLUMNS.filter((column) => ruleShown || column !== RULE);
  return <Table label="Runs" rows={runs} id={(run) => run.id} columns={selection ? [selecting(selection), ...columns] : columns} />;
}

function selecting({ chosen, toggle }: NonNullable<Props["selection"]>): Column<Run> {
  return {
    title: "Select",
    cell: ({ id }) => <label class="pick"><input type="checkbox" checked={chosen.has(id)} onChange={() => { toggle(id); }} /><span class="hidden">Select run {id.slice(-6)}</span></label>,
  };
}

/** How long the Workflow ran, as text; empty while it has not ended. */
export function took(run: Run): string {
  if (!run.started_at || !run.ended_at) return "";
  return span((Date.parse(run.ended_at) - Date.parse(run.started_at)) / 1000);
}
