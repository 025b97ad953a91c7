import type { ComponentChildren } from "preact";
import { useRoute } from "preact-iso";

import { get, type RunDetail } from "../api/client";
import { Missing, Moment, Panel, Stale, State, type Tone } from "../parts/basics";
import { Tabs } from "../parts/tabs";
import { to } from "../state/address";
import { many } from "../state/numbers";
import { useQuery } from "../state/query";
import { visible } from "../state/text";
import { toneOfPhase } from "../state/tones";

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
      </header>
      <Stations run={shown} />
      <Tabs
        name="tab"
        tabs={{
          Inputs: () => <Inputs run={shown.id} />,
          Logs: () => <Logs run={shown.id} />,
          Parameters: () => <Facts values={shown.parameters} />,
          Outputs: () => <Facts values={shown.outputs} />,
        }}
      />
    </>
  );
}

function Stations({ run }: { run: RunDetail }) {
  const ended = run.ended_at ? toneOfPhase(run.phase) : "idle";
  return (
    <div class="stations">
      <Station title="Cause" tone="good">
        <p>{visible(run.cause.detail)}</p>
        <p class="muted">{many(run.window.events, "event")}</p>
      </Station>
      <Station title="Created" tone="good">
        <Moment at={run.created_at} />
        <p class="muted">attempt {run.attempt}{run.retry_of && <>, retry of <a href={to(`/runs/${run.retry_of}`)}>{run.retry_of.slice(-6)}</a></>}</p>
      </Station>
      <Station title="Submitted" tone={run.submitted_at ? "good" : "idle"}>
        {run.submitted_at ? <Moment at={run.submitted_at} /> : <p class="muted">not yet</p>}
        <p class="mono">{run.namespace}/{run.workflow}</p>
      </Station>
      <Station title="Workflow" tone={run.ended_at ? ended : run.started_at ? "active" : "idle"}>
        {run.started_at ? <Moment at={run.started_at} /> : <p class="muted">has not started</p>}
        {run.progress && <p>{run.progress} steps</p>}
      </Station>
      <Station title="End" tone={ended}>
        {run.ended_at ? <Moment at={run.ended_at} /> : <p class="muted">not yet</p>}
        <p>{run.phase}</p>
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
  const found = useQuery(`inputs ${run}`, (signal) =>
    get("/api/v1/runs/{run}/inputs", { path: { run }, query: { limit: 100 }, signal }),
  );
  if (found.data === undefined) return <Missing problem={found.problem} what="the inputs" />;
  if (found.data.items.length === 0) return <p class="muted">No event is an input of this run.</p>;
  return (
    <Panel title="Input events">
      <div class="table" role="region" aria-label="Input events" tabIndex={0}>
        <table>
          <thead><tr><th scope="col" class="number">Event</th><th scope="col">Source</th><th scope="col">Subject</th><th scope="col">Arrived</th></tr></thead>
          <tbody>
            {found.data.items.map((event) => (
              <tr key={event.seq}>
                <td class="number"><a href={to("/events", { text: String(event.seq) })}>{event.seq}</a></td>
                <td>{event.source}</td>
                <td class="wrap">{visible(event.subject || event.id)}</td>
                <td><Moment at={event.at} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function Logs({ run }: { run: string }) {
  const found = useQuery(`logs ${run}`, (signal) =>
    get("/api/v1/runs/{run}/logs", { path: { run }, query: { tail: 200 }, signal }),
  );
  if (found.data === undefined) return <Missing problem={found.problem} what="the logs" />;
  return <pre class="text">{visible(found.data)}</pre>;
}
