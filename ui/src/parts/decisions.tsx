import type { Decision, Problem } from "../api/client";
import { to } from "../state/address";
import { many } from "../state/numbers";
import { visible } from "../state/text";
import { toneOfDecision } from "../state/tones";
import { Missing, Moment, State } from "./basics";

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
  const current = at === "" ? undefined : decisions.find((decision) => decision.first_at <= at);
  return (
    <div class="table">
      <table>
        <thead>
          <tr>
            <th scope="col">Since</th>
            <th scope="col">Decision</th>
            <th scope="col">Detail</th>
            <th scope="col">Until</th>
            <th scope="col" class="number">Inputs</th>
          </tr>
        </thead>
        <tbody>
          {decisions.map((decision) => (
            <tr key={decision.id} aria-selected={decision === current}>
              <td>
                <button class="plain" onClick={() => { onAt(decision.first_at); }} aria-label={`Show ${decision.first_at}`}>
                  <Moment at={decision.first_at} />
                </button>
              </td>
              <td>
                <State tone={toneOfDecision(decision.decision, decision.reason)}>
                  {decision.decision} · {decision.reason.replaceAll("_", " ")}
                </State>
              </td>
              <td class="wrap">
                {visible(decision.detail)}{" "}
                {decision.run && <a href={to(`/runs/${decision.run}`)}>run {decision.run.slice(-6)}</a>}
              </td>
              <td>{decision.until ? <Moment at={decision.until} /> : ""}</td>
              <td class="number" title={many(decision.count, "input")}>{decision.count}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
