import type { ComponentChildren } from "preact";
import { useRoute } from "preact-iso";

import { get, type RunDetail, type Schemas } from "../api/client";
import { Missing, Moment, Stale, State, type Tone } from "../parts/basics";
import { Chain } from "../parts/chain";
import { Links } from "../parts/links";
import { Logs } from "../parts/logs";
import { Nodes } from "../parts/nodes";
import { RunActs } from "../parts/run-acts";
import { Listed } from "../parts/pages";
import { Table } from "../parts/table";
import { Tabs } from "../parts/tabs";
import { to } from "../state/address";
import { bytes, many, number } from "../state/numbers";
import { asked, usePages } from "../state/pages";
import { useQuery } from "../state/query";
import { mayAct } from "../state/session";
import { visible } from "../state/text";
import { span } from "../state/time";
import { toneOfPhase } from "../state/tones";
import "../styles/run.css";

export function RunScreen() {
  const { params } = useRoute();
  const run = params.run ?? "";
  const found = useQuery(`run ${run}`, (signal) =>
    get("/api/v1/runs/{run}", { path: { run }, signal }),
  );
  if (found.data === undefined) return <Missing problem={found.problem} what={`run ${run}`} />;
  const shown = found.data;
  return (
    <>
      <Stale problem={found.problem} />
      <header class="head">
        <div class="title">
          <h1>Run <span class="mono">{shown.id.slice(-6)}</span> of <a href={to(`/rules/${shown.rule}`, { key: shown.key })}>{shown.rule}</a>{shown.key && ` ${visible(shown.key)}`}</h1>
          <State tone={toneOfPhase(shown.phase)}>{shown.phase}</State>
        </div>
        {shown.waits && <p class="note wait">{visible(`${shown.waits.reason.replaceAll("_", " ")}: ${shown.waits.detail}`)}</p>}
        {shown.message && <p class="verdict">{visible(shown.message)}</p>}
        {shown.stop_requested && !shown.ended_at && <p class="note wait">Its end is requested ({shown.stop_requested}).</p>}
        <Links links={shown.links} />
        {mayAct() && <RunActs run={shown} />}
      </header>
      <Stations run={shown} />
      <Nodes run={shown.id} runs={!shown.ended_at} />
      <Tabs
        name="tab"
        tabs={{
          Inputs: () => <Inputs run={shown.id} />,
          Logs: () => <Logs run={shown.id} runs={!shown.ended_at} submitted={shown.uid !== null} />,
          Chain: () => <Chain run={shown.id} />,
          Parameters: () => <Facts values={shown.parameters} />,
          Outputs: () => <Facts values={shown.outputs} />,
        }}
      />
    </>
  );
}

/** What led to the run and what became of it, from left to right. */
function Stations({ run }: { run: RunDetail }) {
  const ended = run.ended_at ? toneOfPhase(run.phase) : "idle";
  const outputs = Object.keys(run.outputs);
  return (
    <div class="stations">
      <Station title="Events" tone={run.window.events > 0 || run.cause.upstream ? "good" : "idle"}>
        <p>{run.window.events > 0 ? <>{many(run.window.events, "event")}{run.window.bytes > 0 && `, ${bytes(run.window.bytes)}`}</> : "no event"}</p>
        {run.cause.upstream && <p>after run <a class="mono" href={to(`/runs/${run.cause.upstream}`)}>{run.cause.upstream.slice(-6)}</a></p>}
        {run.scheduled_at && <p>slot <Moment at={run.scheduled_at} /></p>}
      </Station>
      <Station title="Decision" tone="good">
        <p><a href={to(`/rules/${run.rule}`, { key: run.key, at: run.created_at })}>{run.reason.replaceAll("_", " ")}</a> <span class="muted">by {run.trigger}</span></p>
        <p>{visible(run.cause.detail)}</p>
        {run.cause.by && <p class="muted">asked for by {visible(run.cause.by)}</p>}
      </Station>
      <Station title="Run" tone={run.submitted_at ? "good" : run.ended_at ? ended : "wait"}>
        <p>created <Moment at={run.created_at} /></p>
        {run.submitted_at ? <p>submitted <Moment at={run.submitted_at} /></p> : <p class="muted">not submitted</p>}
        <p class="muted">attempt {run.attempt}{run.retry_of && <>, retry of <a href={to(`/runs/${run.retry_of}`)}>{run.retry_of.slice(-6)}</a></>}</p>
      </Station>
      <Station title="Workflow" tone={run.ended_at ? ended : run.started_at ? "active" : "idle"}>
        {run.started_at ? <p>started <Moment at={run.started_at} /></p> : <p class="muted">has not started</p>}
        {run.ended_at && <p>ended <Moment at={run.ended_at} /></p>}
        <p>{run.progress !== "" && `${run.progress} steps`}{run.started_at && run.ended_at && ` in ${span((Date.parse(run.ended_at) - Date.parse(run.started_at)) / 1000)}`}</p>
      </Station>
      <Station title="Outputs" tone={outputs.length > 0 ? "good" : "idle"}>
        <p>{outputs.length > 0 ? many(outputs.length, "output") : "none"}</p>
        {run.gpu_hours !== null && <p class="muted">{number(run.gpu_hours)} GPU hours</p>}
      </Station>
      <Station title="Promotion" tone={run.promoted === true ? "good" : "idle"}>
        <p>{run.promoted === true ? "promoted" : run.promoted === false ? "not promoted" : "not reported"}</p>
      </Station>
    </div>
  );
}

function Station({ title, tone, children }: { title: string; tone: Tone; children: ComponentChildren }) {
  return (
    <section class={`station ${tone}`}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

function Facts({ values }: { values: Readonly<Record<string, unknown>> }) {
  const pairs = Object.entries(values);
  if (pairs.length === 0) return <p class="muted">None.</p>;
  return (
    <dl class="facts">
      {pairs.map(([name, value]) => (
        <>
          <dt key={name}>{visible(name)}</dt>
          <dd class="mono">{visible(typeof value === "string" ? value : JSON.stringify(value))}</dd>
        </>
      ))}
    </dl>
  );
}

function Inputs({ run }: { run: string }) {
  const inputs = usePages<Schemas["Input"]>(`inputs ${run}`, ({ seq }) => seq, (cursor, signal) =>
    get("/api/v1/runs/{run}/inputs", { path: { run }, query: asked({ limit: 50, cursor }), signal }),
  );
  return (
    <Listed pages={inputs} what="input event" none="No event is an input of this run, or they were pruned.">
      {(rows) => (
        <Table
          label="Input events"
          rows={rows}
          id={({ seq }) => seq}
          columns={[
            { title: "Event", kind: "number", cell: ({ seq }) => <a href={to("/events", { text: String(seq) })}>{seq}</a> },
            { title: "Source", cell: ({ source }) => source },
            { title: "Subject", kind: "wrap", cell: ({ subject, id }) => visible(subject || id) },
            { title: "Arrived", cell: ({ at }) => <Moment at={at} /> },
          ]}
        />
      )}
    </Listed>
  );
}
