import { post, type RunDetail } from "../api/client";
import { to } from "../state/address";
import { number } from "../state/numbers";
import { visible } from "../state/text";
import { span } from "../state/time";
import { Act, type Done } from "./act";

const PROMOTED = "promoted";

/** What may be done with a run. What the engine would refuse has no button, but the reason. */
export function RunActs({ run }: { run: RunDetail }) {
  return (
    <div class="acts">
      {run.acts.cancel === "" && <Cancel run={run} />}
      {run.acts.retry === "" && <Retry run={run} />}
      {run.acts.feedback === "" && <Feedback run={run} />}
      <details class="why-not">
        <summary>What cannot be done, and why</summary>
        <ul>
          {Object.entries(run.acts).filter(([, why]) => why !== "").map(([act, why]) => <li key={act}><strong>{act === "feedback" ? "promote" : act}</strong>: {visible(why)}</li>)}
        </ul>
      </details>
    </div>
  );
}

function Cancel({ run }: { run: RunDetail }) {
  const path = { run: run.id };
  return (
    <Act
      button="Cancel …"
      title="Cancel the run"
      repeats
      subject={`${run.rule} ${run.id.slice(-6)}`}
      what="Its Workflow is asked to end; the run is CANCELLED once it has. Stop lets exit handlers run, Terminate does not."
      fields={[{ name: "strategy", label: "How", options: ["Stop", "Terminate"], initial: "Stop" }]}
      preview={() => Promise.resolve(<p>{run.started_at ? `It has run for ${span((Date.now() - Date.parse(run.started_at)) / 1000)}${run.progress === "" ? "" : `, ${run.progress} steps are done`}.` : "It has not started: it ends at once."} {run.submit.inputs_on_failure === "keep" ? "Its inputs count as used." : "Its inputs are returned, so they count for the next run."}</p>)}
      send={async (_, { strategy = "" }): Promise<Done> => {
        const answer = await post("/api/v1/runs/{run}/cancel", { path, body: { strategy: strategy === "Terminate" ? "Terminate" : "Stop" } });
        return { text: answer.ended_at ? `The run is ${answer.phase}.` : `The end is requested. The run is ${answer.phase} until its Workflow has ended.` };
      }}
    />
  );
}

function Retry({ run }: { run: RunDetail }) {
  const path = { run: run.id };
  const lasted = run.started_at && run.ended_at ? span((Date.parse(run.ended_at) - Date.parse(run.started_at)) / 1000) : "";
  return (
    <Act
      button="Retry …"
      title="Start another attempt"
      repeats
      subject={`${run.rule} ${run.id.slice(-6)}`}
      what="A new Workflow with the same parameters. It is subject to budget and pool."
      preview={async () => {
        const dry = await post("/api/v1/runs/{run}/retry", { path, body: { dry_run: true } });
        return (
          <>
            <p>Attempt {dry.attempt}{dry.waits && <>: {visible(dry.waits.detail)}</>}</p>
            {lasted !== "" && <p class="muted">Attempt {run.attempt} took {lasted}{run.gpu_hours === null ? "" : ` and ${number(run.gpu_hours)} GPU hours`}.</p>}
          </>
        );
      }}
      send={async (identity): Promise<Done> => {
        const attempt = await post("/api/v1/runs/{run}/retry", { path, headers: { "Idempotency-Key": identity }, body: {} });
        return { text: `Attempt ${attempt.attempt} is ${attempt.phase}.`, link: { text: "Show it", address: to(`/runs/${attempt.id}`) } };
      }}
    />
  );
}

function Feedback({ run }: { run: RunDetail }) {
  const path = { run: run.id };
  return (
    <Act
      button="Promote …"
      title="Report what became of the model"
      subject={`${run.rule} ${run.id.slice(-6)}`}
      what="Only a report: the model itself is promoted elsewhere. Rules that follow a promotion can start, and limits on runs without promotion are counted anew."
      fields={[{ name: "outcome", label: "Its model was", options: [PROMOTED, `not ${PROMOTED}`], initial: PROMOTED }]}
      preview={() => Promise.resolve(<p class="muted">{run.promoted === null ? "Nothing is reported yet." : `Reported so far: ${run.promoted ? "" : "not "}promoted.`}</p>)}
      send={async (_, { outcome = "" }): Promise<Done> => {
        const answer = await post("/api/v1/runs/{run}/feedback", { path, body: { promoted: outcome === PROMOTED } });
        return { text: answer.promoted === true ? "The model counts as promoted." : "The model counts as not promoted." };
      }}
    />
  );
}
