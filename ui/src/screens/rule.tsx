import { useRoute } from "preact-iso";
import { useEffect, useMemo } from "preact/hooks";

import { get, post, type Decision, type Explanation, type Rule } from "../api/client";
import { Chart, KeptNote, Zooms } from "../chart/chart";
import { usePast } from "../chart/use-series";
import { Missing, Moment, Panel, Stale, State } from "../parts/basics";
import { KeyChoice } from "../parts/key-choice";
import { Links } from "../parts/links";
import { Pause, Resume, Trigger } from "../parts/rule-acts";
import { Why } from "../parts/rule-why";
import { to, useParameter } from "../state/address";
import { onKeys } from "../state/keys";
import { useQuery } from "../state/query";
import { mayAct } from "../state/session";
import { visible } from "../state/text";
import { isTime } from "../state/time";
import { toneOfDecision } from "../state/tones";
import { RuleTabs } from "./rule/tabs";
import "../styles/chart.css";

/** Decisions and runs that are looked at together. */
const SHOWN = 100;
/** Reasons that end when somebody resumes the rule. */
const STOPPED = new Set(["circuit_open", "quarantined"]);

export function RuleScreen() {
  const { params } = useRoute();
  const rule = params.rule ?? "";
  const [key, setKey] = useParameter("key");
  const [given, setAt] = useParameter("at");
  const at = isTime(given) ? given : "";
  const of = { rules: [rule] };
  const line = useQuery(
    `rule ${rule} ${key}`,
    (signal) => get("/api/v1/rules/{rule}", { path: { rule }, query: key === "" ? {} : { key }, signal }),
    undefined,
    of,
  );
  // What is so now came with the rule: the service evaluates it once.
  const then = useQuery(
    `explain ${rule} ${key} ${at}`,
    async (signal) => (at === "" ? undefined : post("/api/v1/rules/{rule}/explain", { path: { rule }, body: { key, at }, signal })),
    undefined,
    of,
  );
  const explanation = at === "" ? { data: line.data?.explanation, problem: line.problem } : then;
  const decisions = useQuery(`decisions ${rule} ${key}`, (signal) =>
    get("/api/v1/decisions", { query: { rule, limit: SHOWN, ...(key === "" ? {} : { key }) }, signal }), undefined, of,
  );
  const runs = useQuery(`runs ${rule}`, (signal) =>
    get("/api/v1/runs", { query: { rule, limit: SHOWN }, signal }), undefined, of,
  );
  const past = useMemo(() => decisions.data?.items ?? [], [decisions.data]);
  const charted = usePast(rule, key, at);
  const walked = charted.data?.decisions ?? past;
  useEffect(() => onKeys({ "[": () => { step(walked, at, 1, setAt); }, "]": () => { step(walked, at, -1, setAt); } }), [walked, at, setAt]);

  if (line.data === undefined) return <Missing problem={line.problem} what={`rule ${rule}`} />;
  const isKeyed = "for_each" in line.data.configuration;
  return (
    <>
      <Stale problem={line.problem} />
      {given !== at && <p class="note wait" role="status">“{visible(given)}” is no time, as 2026-11-30T08:00:00Z is. This is how it is now.</p>}
      <Head line={line.data} explanation={explanation.data} ruleKey={key} at={at} onNow={() => { setAt(""); }} />
      <Links links={line.data.links} />
      {isKeyed && <KeyChoice rule={rule} value={key} onKey={setKey} />}
      <div class="columns">
        <Panel title={at === "" ? "Why, now" : "Why, then"}>
          {explanation.data === undefined ? (
            <Missing problem={explanation.problem} what="the explanation" />
          ) : (
            <Why nodes={explanation.data.tree} />
          )}
        </Panel>
        <Panel title="When" extra={<><span class="muted">Click, or press <kbd>[</kbd> <kbd>]</kbd>, to move to a decision.</span><Zooms /></>}>
          {isKeyed && key === "" && <p class="note wait">Choose a key above: values, pending data and runs are those of one key. Without it, only what the rule decides as a whole is shown.</p>}
          <Chart charted={charted} at={charted.at} onAt={setAt} />
          <KeptNote charted={charted} />
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
  ruleKey: string;
  at: string;
  onNow: () => void;
}

function Head({ line, explanation, ruleKey, at, onNow }: HeadProps) {
  const shown = explanation ?? line;
  const stopped = line.paused || STOPPED.has(line.reason) || (at === "" && STOPPED.has(shown.reason));
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
        {explanation?.since && (<><dt>Since</dt><dd><Moment at={explanation.since} long /></dd></>)}
        {shown.until && (<><dt>Until</dt><dd><Moment at={shown.until} long /></dd></>)}
        {explanation?.earliest && explanation.earliest !== shown.until && (<><dt>Earliest run</dt><dd><Moment at={explanation.earliest} long /></dd></>)}
      </dl>
      {line.description !== "" && <p class="muted">{visible(line.description)}</p>}
      <div class="acts">
        {mayAct() && (
          <>
            <Trigger rule={line.name} ruleKey={ruleKey} />
            {stopped ? <Resume rule={line.name} /> : <Pause rule={line.name} />}
          </>
        )}
        <a href={to("/what-if", { rule: line.name })}>What if its numbers were others?</a>
      </div>
    </header>
  );
}

/** Move to the decision before or after the one that is shown. Decisions are the latest first. */
function step(decisions: readonly Pick<Decision, "first_at">[], at: string, by: 1 | -1, setAt: (at: string) => void): void {
  const now = at === "" ? -1 : decisions.findIndex((decision) => decision.first_at <= at);
  const next = decisions[Math.min(now + by, decisions.length - 1)];
  setAt(next === undefined || now + by < 0 ? "" : next.first_at);
}
