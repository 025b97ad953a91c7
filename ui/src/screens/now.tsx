import { get, type Schemas } from "../api/client";
import { Missing, Moment, Panel, Stale, State, type Tone } from "../parts/basics";
import { Resume } from "../parts/rule-acts";
import { Runs } from "../parts/runs";
import { to } from "../state/address";
import { many, number } from "../state/numbers";
import { useQuery } from "../state/query";
import { mayAct } from "../state/session";
import { visible } from "../state/text";
import "../styles/now.css";

type Overview = Schemas["OverviewView"];
type Group = Schemas["NeedGroup"];
type Need = Schemas["Need"];

const HOUR = 3_600_000;
/** Entries of the next hour that are shown. */
const COMING = 8;
/** Kinds that go on by themselves, or may. */
const PATIENT = new Set(["late", "silent", "slow_run", "stopping_run", "waits"]);

/** Whether the service works, what needs somebody, what is held and why, what runs. */
export function NowScreen() {
  const found = useQuery("overview", (signal) => get("/api/v1/overview", { signal }));
  if (found.data === undefined) return <Missing problem={found.problem} what="the state of the service" />;
  const { health, needs, verdicts, runs } = found.data;
  return (
    <>
      <Stale problem={found.problem} />
      <Health health={health} />
      <Panel title="Needs somebody">
        <Needs groups={needs} unknown={health.store !== "" || verdicts.known < verdicts.rules} />
      </Panel>
      <div class="columns">
        <Panel title="Rules" extra={verdicts.rules > 0 && <a href={to("/rules")}>all {number(verdicts.rules)}</a>}>
          <Reasons verdicts={verdicts} />
        </Panel>
        <Panel title="Running" extra={<Counts of={runs.live} none="" />}>
          <Runs runs={runs.running} problem={undefined} ruleShown none="Nothing runs." />
        </Panel>
      </div>
      {health.store === "" && <NextHour />}
      <Panel title="Last ended" extra={<><Counts of={runs.ended} none="none in the last day" more={runs.more} /> <a href={to("/runs")}>all</a></>}>
        <Runs runs={runs.last_ended} problem={undefined} ruleShown none="No run has ended yet." />
      </Panel>
    </>
  );
}

/** What the schedules and the clock bring within an hour. It is computed for all rules, so hints do not ask for it. */
function NextHour() {
  const found = useQuery(
    "next hour",
    (signal) => get("/api/v1/upcoming", { query: { until: new Date(Date.now() + HOUR).toISOString(), limit: COMING }, signal }),
    undefined,
    {},
  );
  return (
    <Panel title="The next hour">
      {found.data === undefined ? (
        <Missing problem={found.problem} what="the next hour" />
      ) : found.data.items.length === 0 ? (
        <p class="muted">Nothing is due{!found.data.complete && <> until <Moment at={found.data.until} /></>}, {visible(found.data.assumes)}.</p>
      ) : (
        <>
          <ul class="coming">
            {found.data.items.map((entry) => (
              <li key={`${entry.at} ${entry.rule} ${entry.key} ${entry.kind} ${entry.trigger}`}>
                <Moment at={entry.at} /> <a href={to(`/rules/${entry.rule}`, { key: entry.key })}>{entry.rule}</a> {entry.key !== "" && <span class="muted">{visible(entry.key)}</span>}{" "}
                <State tone={entry.outcome === "fires" ? "good" : "wait"}>{entry.outcome.replaceAll("_", " ")}</State> <span class="muted">{visible(entry.detail)}</span>
              </li>
            ))}
          </ul>
          <p class="muted">{found.data.next !== null && "The first ones only. "}It is so {visible(found.data.assumes)}.</p>
        </>
      )}
    </Panel>
  );
}

function Health({ health }: { health: Overview["health"] }) {
  const [tone, word] = stateOf(health);
  return (
    <header class="head">
      <div class="title">
        <h1>{visible(health.instance)}</h1>
        <State tone={tone}>{word}</State>
        {health.leader !== "" && <span class="muted">the leader is <a href={`${health.leader}/ui/`}>{visible(health.leader)}</a></span>}
      </div>
      <p class="verdict" aria-live="polite">{visible(health.sentence)}</p>
      {health.reasons.map((reason) => <p class="note bad" key={reason}>{visible(reason)}</p>)}
    </header>
  );
}

/** The state of the service by shape and word. */
export function stateOf(health: Pick<Overview["health"], "ready" | "role" | "store">): [Tone, string] {
  if (health.store !== "") return ["bad", "no store"];
  if (health.role === "no_leader") return ["bad", "no leader"];
  if (!health.ready) return ["bad", "not ready"];
  return health.role === "leader" ? ["good", "ready"] : ["idle", "standby"];
}

/** What does not go on by itself, each with the way out; what goes on by itself comes last. */
function Needs({ groups, unknown }: { groups: readonly Group[]; unknown: boolean }) {
  if (groups.length === 0) {
    return <p class="muted">{unknown ? "Nothing so far; not everything could be looked at yet." : "Nothing. All goes on by itself."}</p>;
  }
  return (
    <ul class="need-groups">
      {groups.map((group) => (
        <li key={group.kind}>
          <div class="kind">
            <State tone={PATIENT.has(group.kind) ? "wait" : "bad"}>{group.kind.replaceAll("_", " ")}</State>
            {(group.count > 1 || group.more) && <span class="count">{number(group.count)}{group.more && " or more"}</span>}
            <span class="muted">{group.way_out}</span>
          </div>
          <ul class="need-items">
            {group.items.map((need) => <Item key={need.name} need={need} kind={group.kind} />)}
          </ul>
          {group.count > group.items.length && <p class="muted">and {number(group.count - group.items.length)} more: {whereAll(group)}</p>}
        </li>
      ))}
    </ul>
  );
}

function Item({ need, kind }: { need: Need; kind: string }) {
  const address = addressOf(need, kind);
  const name = need.run === undefined ? visible(need.name) : `run ${need.name.slice(-6)}`;
  return (
    <li>
      <span class="what">
        {address === undefined ? <strong>{name}</strong> : <a href={address}>{name}</a>}
        {need.run && need.rule && <> of <a href={to(`/rules/${need.rule}`)}>{need.rule}</a></>}
        {need.since && <> {kind === "dead_letters" ? "latest" : "since"} <Moment at={need.since} /></>}
      </span>
      {need.act === "resume" && need.rule && mayAct() && <span class="do"><Resume rule={need.rule} /></span>}
      <span class="muted said">{visible(need.sentence)}</span>
    </li>
  );
}

/** Where one can look at it; undefined if the page has no screen for it. */
export function addressOf(need: Pick<Need, "run" | "rule" | "source">, kind: string): string | undefined {
  if (need.run) return to(`/runs/${need.run}`);
  if (need.rule) return to(`/rules/${need.rule}`);
  if (kind === "dead_letters") return to("/events", { tab: "dead-letters" });
  return need.source ? to("/sources") : undefined;
}

function whereAll({ kind }: Group) {
  if (kind.endsWith("_run")) return <a href={to("/runs")}>all runs</a>;
  if (kind === "halted" || kind === "silent") return <a href={to("/sources")}>all sources</a>;
  if (kind === "dead_letters") return <a href={to("/events", { tab: "dead-letters" })}>all dead letters</a>;
  if (kind === "late") return <a href={to("/rules")}>all rules</a>;
  return kind === "rule_file" || kind === "waits" ? "they are in the log" : <a href={to("/rules", { state: kind })}>all of them</a>;
}

/** How many rules have each reason, those that are held first. */
function Reasons({ verdicts }: { verdicts: Overview["verdicts"] }) {
  const left = verdicts.rules - verdicts.known;
  if (verdicts.rules === 0) return <p class="muted">There is no rule. Write one into the folder that `rules` of the settings names.</p>;
  return (
    <>
      {left > 0 && <p class="muted" role="status">counted {number(verdicts.known)} of {many(verdicts.rules, "rule")}</p>}
      <table class="reasons">
        <thead><tr><th scope="col">Reason</th><th scope="col" class="number">Rules</th></tr></thead>
        <tbody>
          {verdicts.by.map(({ decision, reason, count, idle }) => (
            <tr key={`${decision} ${reason}`}>
              <td>
                <State tone={toneOfReason(decision, reason, idle)}>{decision}</State> <a href={to("/rules", { state: reason })}>{reason.replaceAll("_", " ")}</a>
              </td>
              <td class="number">{number(count)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function toneOfReason(decision: string, reason: string, idle: boolean): Tone {
  if (decision === "fire") return "good";
  if (idle) return "idle";
  return ["circuit_open", "quarantined", "bad_parameters", "no_data"].includes(reason) ? "bad" : "wait";
}

/** Runs by phase: "2 running, 1 failed". */
function Counts({ of, none, more = false }: { of: Readonly<Record<string, number>>; none: string; more?: boolean }) {
  const phases = Object.entries(of).sort();
  const text = phases.map(([phase, count]) => `${number(count)} ${phase.toLowerCase()}`).join(", ");
  return <span class="muted">{text === "" ? none : text}{more && " of the newest"}</span>;
}
