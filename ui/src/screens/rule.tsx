import { useRoute } from "preact-iso";
import { useEffect, useMemo } from "preact/hooks";

import { get, post, type Decision, type Explanation, type Node, type Rule } from "../api/client";
import { Missing, Moment, Panel, Stale, State } from "../parts/basics";
import { Links } from "../parts/links";
import { Pause, Resume, Trigger } from "../parts/rule-acts";
import { Timeline } from "../parts/timeline";
import { Tree } from "../parts/tree";
import { useParameter } from "../state/address";
import { onKeys } from "../state/keys";
import { useQuery } from "../state/query";
import { mayAct } from "../state/session";
import { visible } from "../state/text";
import { toneOfDecision } from "../state/tones";
import { RuleTabs } from "./rule/tabs";

/** Decisions and runs that are looked at together. */
const SHOWN = 100;
/** Reasons that end when somebody resumes the rule. */
const STOPPED = new Set(["circuit_open", "quarantined"]);

export function RuleScreen() {
  const { params } = useRoute();
  const rule = params.rule ?? "";
  const [key] = useParameter("key");
  const [at, setAt] = useParameter("at");
  const line = useQuery(`rule ${rule} ${key}`, (signal) =>
    get("/api/v1/rules/{rule}", { path: { rule }, query: key === "" ? {} : { key }, signal }),
  );
  const explanation = useQuery(`explain ${rule} ${key} ${at}`, (signal) =>
    post("/api/v1/rules/{rule}/explain", { path: { rule }, body: { key, ...(at === "" ? {} : { at }) }, signal }),
  );
  const decisions = useQuery(`decisions ${rule} ${key}`, (signal) =>
    get("/api/v1/decisions", { query: { rule, limit: SHOWN, ...(key === "" ? {} : { key }) }, signal }),
  );
  const runs = useQuery(`runs ${rule}`, (signal) =>
    get("/api/v1/runs", { query: { rule, limit: SHOWN }, signal }),
  );
  const past = useMemo(() => decisions.data?.items ?? [], [decisions.data]);
  useEffect(() => onKeys({ "[": () => { step(past, at, 1, setAt); }, "]": () => { step(past, at, -1, setAt); } }), [past, at, setAt]);

  if (line.data === undefined) return <Missing problem={line.problem} what={`rule ${rule}`} />;
  return (
    <>
      <Stale problem={line.problem} />
      <Head line={line.data} explanation={explanation.data} at={at} onNow={() => { setAt(""); }} />
      <Links links={line.data.links} />
      <div class="columns">
        <Panel title={at === "" ? "Why, now" : "Why, then"}>
          {explanation.data === undefined ? (
            <Missing problem={explanation.problem} what="the explanation" />
          ) : (
            <Why nodes={explanation.data.tree} />
          )}
        </Panel>
        <Panel title="When" extra={<span class="muted">Click, or press <kbd>[</kbd> <kbd>]</kbd>, to move to a decision.</span>}>
          <Timeline decisions={past} runs={runs.data?.items ?? []} at={at} onAt={setAt} />
        </Panel>
      </div>
      <RuleTabs
        line={line.data}
        decisions={{ items: past, problem: decisions.problem }}
        runs={{ items: runs.data?.items, problem: runs.problem }}
        at={at}
        onAt={setAt}
      />
    </>
  );
}

interface HeadProps {
  line: Rule;
  explanation: Explanation | undefined;
  at: string;
  onNow: () => void;
}

function Head({ line, explanation, at, onNow }: HeadProps) {
  const shown = explanation ?? line;
  const stopped = line.paused || STOPPED.has(line.reason);
  return (
    <header class="head">
      <div class="title">
        <h1>{line.name}</h1>
        <State tone={toneOfDecision(shown.decision, shown.reason)}>
          {shown.decision} · {shown.reason.replaceAll("_", " ")}
        </State>
        <span class="chips">
          <span class="chip">{line.paused ? "paused" : line.mode}</span>
          {Object.entries(line.labels).map(([name, value]) => (
            <span class="chip" key={name}>
              {visible(`${name}=${value}`)}
            </span>
          ))}
        </span>
      </div>
      {at !== "" && (
        <p class="note wait" role="status">
          This is what was decided at <Moment at={at} long />. <button onClick={onNow}>Back to now</button>
        </p>
      )}
      <p class="verdict" aria-live="polite">
        {visible(shown.verdict)}
      </p>
      <dl class="facts">
        {shown.until && (<><dt>Until</dt><dd><Moment at={shown.until} long /></dd></>)}
        {explanation?.earliest && (<><dt>Earliest run</dt><dd><Moment at={explanation.earliest} long /></dd></>)}
      </dl>
      {line.description !== "" && <p class="muted">{visible(line.description)}</p>}
      {mayAct() && (
        <div class="acts">
          <Trigger rule={line.name} />
          <Resume rule={line.name} hidden={!stopped} />
          <Pause rule={line.name} hidden={stopped} />
        </div>
      )}
    </header>
  );
}

/** The triggers as a tree; the limits in a row below, as each of them alone can hold a run back. */
function Why({ nodes }: { nodes: readonly Node[] }) {
  const limits = nodes.find((node) => node.name === "limits")?.children ?? [];
  return (
    <>
      <Tree nodes={nodes.filter((node) => node.name !== "limits")} />
      {limits.length > 0 && (
        <ul class="limits" aria-label="Limits">
          {limits.map((limit) => (
            <li key={limit.name}>
              <span class="name">{limit.name}</span>
              <span>{limit.state.replaceAll("_", " ")}</span>
              <span class="muted">{visible(limit.detail)}</span>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

/** Move to the decision before or after the one that is shown. Decisions are the latest first. */
function step(decisions: readonly Decision[], at: string, by: 1 | -1, setAt: (at: string) => void): void {
  const now = at === "" ? -1 : decisions.findIndex((decision) => decision.first_at <= at);
  const next = decisions[Math.min(now + by, decisions.length - 1)];
  setAt(next === undefined || now + by < 0 ? "" : next.first_at);
}
