import type { ComponentChildren } from "preact";

import { get, type Schemas } from "../api/client";
import { Missing, Moment, Panel, Stale, State } from "../parts/basics";
import { Table } from "../parts/table";
import { to } from "../state/address";
import { many, number } from "../state/numbers";
import { useQuery } from "../state/query";
import { visible } from "../state/text";
import { span } from "../state/time";

import "../styles/upcoming.css";

type Pool = Schemas["PoolUse"];
type Budget = Schemas["BudgetUse"];
type Calendar = Schemas["CalendarState"];
type Held = Schemas["HeldRule"];

/** Pools, budgets and calendars as they are now, and the rules that a limit holds. */
export function LimitsScreen() {
  const found = useQuery("limits", (signal) => get("/api/v1/limits", { signal }));
  return (
    <>
      <h1>Limits</h1>
      <Stale problem={found.data && found.problem} />
      {found.data === undefined ? <Missing problem={found.problem} what="limits" /> : <Limits {...found.data} />}
    </>
  );
}

function Limits({ pools, budgets, calendars, held, held_counts, known, rules }: Schemas["LimitsView"]) {
  return (
    <>
      <Part title="Pools" none="No rule uses a pool." items={pools}>{(pool) => <PoolUse key={pool.name} {...pool} />}</Part>
      <Part title="Shared budgets" none="No rules share a budget." items={budgets}>{(budget) => <BudgetUse key={budget.name} {...budget} />}</Part>
      <Part title="Calendars and freezes" none="No rule uses a calendar." items={calendars}>{(calendar) => <CalendarUse key={calendar.name} {...calendar} />}</Part>
      <section class="stack">
        <h2>Rules that a limit holds now</h2>
        {known < rules && <p class="muted" role="status">{number(known)} of {many(rules, "rule")} are known so far; the others follow.</p>}
        {held_counts.length > 0 && <p class="chips">{held_counts.map(({ reason, rules: count }) => <a key={reason} class="chip" href={to("/rules", { state: reason })}>{reason.replaceAll("_", " ")} {number(count)}</a>)}</p>}
        {held.length === 0 ? <p class="muted">No limit holds a rule now.</p> : <HeldRules held={held} />}
      </section>
    </>
  );
}

function Part<T>({ title, none, items, children }: { title: string; none: string; items: readonly T[]; children: (item: T) => ComponentChildren }) {
  return (
    <section class="stack">
      <h2>{title}</h2>
      {items.length === 0 ? <p class="muted">{none}</p> : <div class="uses">{items.map(children)}</div>}
    </section>
  );
}

function PoolUse({ name, size, used, waiting, rules, holders, queue }: Pool) {
  const full = size !== null && used >= size;
  return (
    <Panel title={name} extra={<State tone={waiting > 0 ? "wait" : full ? "active" : "good"}>{waiting > 0 ? `full, ${many(waiting, "run")} waiting` : full ? "full" : "free"}</State>}>
      <p>{size === null ? "no longer configured, limits nothing" : `${number(used)} of ${many(size, "place")} taken`} <span class="muted">· {many(rules, "rule")}</span></p>
      <Share of={size} used={used} />
      <Runs title="Hold a place" runs={holders} count={used} />
      <Runs title="Wait, in this order" runs={queue} count={waiting} ordered />
    </Panel>
  );
}

/** Runs by name; the others, beyond the first or of other namespaces, as a number. */
function Runs({ title, runs, count, ordered = false }: { title: string; runs: readonly Schemas["PoolRun"][]; count: number; ordered?: boolean }) {
  if (count === 0) return null;
  const rows = runs.map((run) => (
    <li key={run.run}>
      <a href={to(`/rules/${run.rule}`)}>{run.rule}</a> {visible(run.key)} <a href={to(`/runs/${run.run}`)}>run {run.run.slice(-6)}</a> <span class="muted">since</span> <Moment at={run.since} />
    </li>
  ));
  return (
    <div>
      <p class="muted">{title}</p>
      {ordered ? <ol>{rows}</ol> : <ul>{rows}</ul>}
      {count > runs.length && <p class="muted">and {many(count - runs.length, "other run")}</p>}
    </div>
  );
}

function BudgetUse({ name, per, runs, gpu_hours, spent_runs, spent_gpu_hours, left_runs, left_gpu_hours, exhausted, renews_at, rules, spenders }: Budget) {
  return (
    <Panel title={name} extra={<State tone={exhausted ? "wait" : "good"}>{exhausted ? "used up" : "available"}</State>}>
      {runs !== null && <><p>{number(spent_runs)} of {many(runs, "run")} in {span(per)}, <strong>{number(left_runs ?? 0)} left</strong></p><Share of={runs} used={spent_runs} /></>}
      {gpu_hours !== null && <><p>{number(spent_gpu_hours)} of {number(gpu_hours)} GPU hours in {span(per)}, <strong>{number(left_gpu_hours ?? 0)} left</strong></p><Share of={gpu_hours} used={spent_gpu_hours} /></>}
      <p class="muted">{many(rules, "rule")} · {renews_at === null ? "nothing was used in this period" : <>something is available again at <Moment at={renews_at} /></>}</p>
      {spenders.length > 0 && (
        <ul>
          {spenders.map((spender) => (
            <li key={spender.rule}>
              {spender.rule === "" ? "rules of other namespaces" : <a href={to(`/rules/${spender.rule}`)}>{spender.rule}</a>}: {many(spender.runs, "run")}
              {gpu_hours !== null && `, ${number(spender.gpu_hours)} GPU hours`}{spender.active > 0 && <span class="muted"> ({number(spender.active)} active)</span>}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function CalendarUse({ name, active, changes_at, mutes, mutes_count, excepts, excepts_count }: Calendar) {
  return (
    <Panel title={name} extra={<State tone={active ? "wait" : "idle"}>{active ? "active" : "not active"}</State>}>
      <p>{active ? "ends" : "begins"} <Moment at={changes_at} /></p>
      <Names what="holds runs of" rules={mutes} count={mutes_count} />
      <Names what="skips slots of" rules={excepts} count={excepts_count} />
    </Panel>
  );
}

function Names({ what, rules, count }: { what: string; rules: readonly string[]; count: number }) {
  if (count === 0) return null;
  return (
    <p>
      <span class="muted">{what}</span> {rules.map((rule, place) => <span key={rule}>{place > 0 && ", "}<a href={to(`/rules/${rule}`)}>{rule}</a></span>)}
      {count > rules.length && ` and ${many(count - rules.length, "other rule")}`}
    </p>
  );
}

/** How much of a limit is used, beside the words. */
function Share({ of, used }: { of: number | null; used: number }) {
  if (of === null || of === 0) return null;
  const part = Math.min(used / of, 1);
  return <svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class={part < 1 ? "fill" : "full"} width={part * 100} height="8" /></svg>;
}

function HeldRules({ held }: { held: readonly Held[] }) {
  return (
    <Table
      label="Rules that a limit holds"
      rows={held}
      id={(rule) => rule.rule}
      columns={[
        { title: "Rule", cell: ({ rule }) => <a href={to(`/rules/${rule}`)}>{rule}</a> },
        { title: "Limit", cell: ({ reason }) => <State tone={reason === "circuit_open" ? "bad" : "wait"}>{reason.replaceAll("_", " ")}</State> },
        { title: "Since", cell: ({ since }) => since !== null && <Moment at={since} /> },
        { title: "Until", cell: ({ until }) => until === null ? <span class="muted">not known</span> : <Moment at={until} /> },
        { title: "Verdict", kind: "wrap", cell: ({ verdict }) => visible(verdict) },
      ]}
    />
  );
}
