import type { Problem, Run } from "../api/client";
import { to } from "../state/address";
import { visible } from "../state/text";
import { span } from "../state/time";
import { toneOfPhase } from "../state/tones";
import { Missing, Moment, State } from "./basics";

/** Runs, the latest first. */
export function Runs({ runs, problem, ruleShown = false }: { runs: readonly Run[] | undefined; problem: Problem | undefined; ruleShown?: boolean }) {
  if (runs === undefined) return <Missing problem={problem} what="runs" />;
  if (runs.length === 0) return <p class="muted">There is no run yet.</p>;
  return (
    <div class="table">
      <table>
        <thead>
          <tr>
            <th scope="col">Run</th>
            {ruleShown && <th scope="col">Rule</th>}
            <th scope="col">Phase</th>
            <th scope="col">Created</th>
            <th scope="col" class="number">Took</th>
            <th scope="col">Reason</th>
            <th scope="col">Message</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.id}>
              <td><a class="mono" href={to(`/runs/${run.id}`)}>{run.id.slice(-6)}</a></td>
              {ruleShown && (
                <td class="wrap">
                  <a href={to(`/rules/${run.rule}`, { key: run.key })}>{run.rule}</a>
                  {run.key !== "" && <span class="muted"> {visible(run.key)}</span>}
                </td>
              )}
              <td><State tone={toneOfPhase(run.phase)}>{run.phase}</State></td>
              <td><Moment at={run.created_at} /></td>
              <td class="number">{took(run)}</td>
              <td>{run.reason.replaceAll("_", " ")}</td>
              <td class="wrap">{visible(run.message)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** How long the Workflow ran, as text; empty while it has not ended. */
function took(run: Run): string {
  if (!run.started_at || !run.ended_at) return "";
  return span((Date.parse(run.ended_at) - Date.parse(run.started_at)) / 1000);
}
