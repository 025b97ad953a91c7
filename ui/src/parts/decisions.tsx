import type { Decision, Problem } from "../api/client";
import { to } from "../state/address";
import { visible } from "../state/text";
import { toneOfDecision } from "../state/tones";
import { Missing, Moment, State } from "./basics";
import { Table } from "./table";

interface Props {
  decisions: readonly Decision[];
  at: string;
  problem: Problem | undefined;
  onAt: (at: string) => void;
}

/** What was decided, the latest first. A row moves the screen to its time. */
export function Decisions({ decisions, at, problem, onAt }: Props) {
  if (decisions.length === 0 && problem !== undefined) return <Missing problem={problem} what="decisions" />;
  if (decisions.length === 0) return <p class="muted">Nothing has been decided yet, or the decisions were pruned.</p>;
  return (
    <Table
      label="Decisions"
      rows={decisions}
      id={(decision) => decision.id}
      selected={at === "" ? undefined : decisions.find((decision) => decision.first_at <= at)}
      columns={[
        {
          title: "Since",
          cell: ({ first_at }) => (
            <button class="plain" onClick={() => { onAt(first_at); }} aria-label={`Show ${first_at}`}>
              <Moment at={first_at} />
            </button>
          ),
        },
        {
          title: "Decision",
          cell: ({ decision, reason }) => (
            <State tone={toneOfDecision(decision, reason)}>{decision} · {reason.replaceAll("_", " ")}</State>
          ),
        },
        {
          title: "Detail",
          kind: "wrap",
          cell: ({ detail, run }) => <>{visible(detail)} {run && <a href={to(`/runs/${run}`)}>run {run.slice(-6)}</a>}</>,
        },
        { title: "Until", cell: ({ until }) => (until ? <Moment at={until} /> : "") },
        { title: "Inputs", kind: "number", cell: ({ count }) => count },
      ]}
    />
  );
}
