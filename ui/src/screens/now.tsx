import type { ComponentChildren } from "preact";

import { get } from "../api/client";
import { Missing, Moment, Panel, Stale, State } from "../parts/basics";
import { Runs } from "../parts/runs";
import { to } from "../state/address";
import { useQuery } from "../state/query";
import { visible } from "../state/text";

const SHOWN = 10;
/** Reasons of rules that nobody but a person ends. */
const BROKEN = ["circuit_open", "quarantined", "bad_parameters"] as const;

/** Whether the service works, what needs somebody, what runs. */
export function NowScreen() {
  const status = useQuery("status", (signal) => get("/api/v1/status", { signal }));
  const running = useQuery("running", (signal) => get("/api/v1/runs", { query: { phase: "RUNNING", limit: SHOWN }, signal }));
  const ended = useQuery("latest runs", (signal) => get("/api/v1/runs", { query: { limit: SHOWN }, signal }));
  if (status.data === undefined) return <Missing problem={status.problem} what="the state of the service" />;
  const { instance, ready, reasons, waiting } = status.data;
  return (
    <>
      <Stale problem={status.problem} />
      <header class="head">
        <div class="title">
          <h1>{instance}</h1>
          <State tone={ready ? "good" : "bad"}>{ready ? "ready" : "not ready"}</State>
        </div>
        {reasons.map((reason) => <p class="note bad" key={reason}>{visible(reason)}</p>)}
      </header>
      <Panel title="Needs somebody">
        <Needs waiting={waiting.map((wait) => (
          <li key={`${wait.component} ${wait.dependency}`}>
            <State tone="wait">waits</State> <strong>{visible(wait.component)}</strong> for {wait.dependency.replaceAll("_", " ")} since <Moment at={wait.since} />{" "}
            <span class="muted">{visible(wait.error)}</span>
          </li>
        ))} />
      </Panel>
      <Panel title="Running"><Runs runs={running.data?.items} problem={running.problem} ruleShown none="Nothing runs." /></Panel>
      <Panel title="Latest runs" extra={<a href={to("/runs")}>all</a>}><Runs runs={ended.data?.items} problem={ended.problem} ruleShown /></Panel>
    </>
  );
}

/** What does not go on by itself: broken rules, halted sources, dead letters; then what waits. */
function Needs({ waiting }: { waiting: readonly ComponentChildren[] }) {
  const rules = useQuery("broken rules", async (signal) =>
    (await Promise.all(BROKEN.map((state) => get("/api/v1/rules", { query: { state, limit: SHOWN }, signal })))).flatMap((page) => page.items),
  );
  const sources = useQuery("sources", (signal) => get("/api/v1/sources", { query: { limit: 500 }, signal }));
  const letters = useQuery("one dead letter", (signal) => get("/api/v1/dead-letters", { query: { limit: 1 }, signal }));
  const halted = sources.data?.items.filter((source) => source.halted.length > 0) ?? [];
  const letter = letters.data?.items[0];
  if (rules.data === undefined || sources.data === undefined || letters.data === undefined) {
    return <Missing problem={rules.problem ?? sources.problem ?? letters.problem} what="what needs somebody" />;
  }
  if (rules.data.length + halted.length + waiting.length === 0 && letter === undefined) return <p class="muted">Nothing. All goes on by itself.</p>;
  return (
    <ul class="needs">
      {rules.data.map((rule) => (
        <li key={rule.name}>
          <State tone="bad">{rule.reason.replaceAll("_", " ")}</State> <a href={to(`/rules/${rule.name}`)}>{rule.name}</a> <span class="muted">{visible(rule.verdict)}</span>
        </li>
      ))}
      {halted.map((source) => (
        <li key={source.name}>
          <State tone="bad">halted</State> <a href={to("/sources")}>{source.name}</a> <span class="muted">{visible(source.halted[0]?.reason ?? "")}</span>
        </li>
      ))}
      {letter && (
        <li>
          <State tone="bad">dead letters</State> <a href={to("/events")}>the latest of {letter.source}</a> <Moment at={letter.at} /> <span class="muted">{visible(letter.error)}</span>
        </li>
      )}
      {waiting}
    </ul>
  );
}
