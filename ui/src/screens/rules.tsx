import { useCallback, useEffect, useState } from "preact/hooks";
import { useLocation } from "preact-iso";

import { get, type Rule, type Schemas } from "../api/client";
import { Missing, Moment, Stale, State } from "../parts/basics";
import { type Column, Table } from "../parts/table";
import { ActOnRules } from "../parts/acts-on-rules";
import { to, useParameter } from "../state/address";
import { live } from "../state/live";
import { many, number } from "../state/numbers";
import { useQuery } from "../state/query";
import { OTHERS, useRows } from "../state/rows";
import { mayAct } from "../state/session";
import { visible } from "../state/text";
import { toneOfDecision, toneOfPhase } from "../state/tones";

import "../styles/rules.css";

type Facets = Schemas["RuleFacets"];

/** Rules in the first answer, and in each further one. */
const FIRST = 100;

const FACETS = [
  ["reason", "Reason", "reasons"],
  ["team", "Team", "teams"],
  ["mode", "Mode", "modes"],
  ["source", "Source", "sources"],
] as const;
type Facet = (typeof FACETS)[number][0];

/** The conditions of the address, as the API takes them. */
interface Filter {
  name: string;
  state?: string;
  label?: string[];
  mode?: Rule["mode"];
  source?: string;
}

export function RulesScreen() {
  const [name, setName] = useParameter("name");
  const [order, setOrder] = useParameter("order");
  const { query, route } = useLocation();
  const filter = filterOf(name, query);
  const key = JSON.stringify([filter, order]);
  const facets = useQuery(`rule facets ${key}`, (signal) => get("/api/v1/rule-facets", { query: filter, signal }), undefined, { others: OTHERS });
  const rules = useRows(`rules ${key}`, nameOf, (cursor, signal) =>
    get("/api/v1/rules", { query: { ...filter, order: order === "name" ? "name" : "worst", limit: FIRST, ...(cursor === undefined ? {} : { cursor }) }, signal }),
  );
  useLearning((facets.data?.unknown ?? 0) > 0);
  const [marked, setMarked] = useState<ReadonlySet<string>>(new Set());
  const toggle = useCallback((rule: Rule) => { setMarked((before) => toggled(before, rule.name)); }, []);
  const counts = facets.data;
  const isFiltered = Object.keys(filter).length > 1 || name !== "";
  return (
    <div class="rules">
      <div class="head">
        <div class="title"><h1>Rules</h1> <Count counts={counts} isFiltered={isFiltered} /></div>
        <div class="find">
          <label>
            <span class="hidden">Search rules by name</span>
            <input id="search" type="search" placeholder="A part of the name ( / )" value={name} onInput={(event) => { setName(event.currentTarget.value, true); }} />
          </label>
          <select aria-label="Order" value={order === "name" ? "name" : "worst"} onChange={(event) => { setOrder(event.currentTarget.value === "name" ? "name" : "", true); }}>
            <option value="worst">worst first</option>
            <option value="name">by name</option>
          </select>
        </div>
      </div>
      {counts && <Filters counts={counts} />}
      <Stale problem={rules.rows && rules.problem} />
      {rules.rows === undefined ? (
        <Missing problem={rules.problem} what="rules" />
      ) : rules.rows.length === 0 && !rules.more ? (
        <Nothing isFiltered={isFiltered} />
      ) : (
        <section class="found" aria-label="Rules found">
          <div class="listed">
            <span role="status">{rules.moved && <>The order has changed. <button class="main" onClick={rules.again}>Show</button></>}</span>
            {mayAct() && <Marked marked={marked} total={counts?.total ?? 0} filter={filter} mark={setMarked} />}
          </div>
          <Table
            label="Rules"
            columns={COLUMNS}
            rows={rules.rows}
            id={nameOf}
            total={Math.max(counts?.total ?? 0, rules.rows.length)}
            more={rules.more}
            inSight={rules.inSight}
            open={(rule) => { route(to(`/rules/${rule.name}`)); }}
            marks={mayAct() ? { has: (rule) => marked.has(rule.name), toggle } : undefined}
          />
        </section>
      )}
    </div>
  );
}

/** Milliseconds between two looks while the service still makes verdicts, of which it sends no hints. */
const LEARNING = 2000;

function useLearning(isLearning: boolean): void {
  useEffect(() => {
    if (!isLearning) return undefined;
    const timer = setInterval(() => { live.again(); }, LEARNING);
    return () => { clearInterval(timer); };
  }, [isLearning]);
}

function nameOf(rule: Rule): string {
  return rule.name;
}

function filterOf(name: string, query: Readonly<Record<string, string>>): Filter {
  const { reason, team, mode, source } = query as Partial<Record<Facet, string>>;
  return {
    name,
    ...(reason ? { state: reason } : {}),
    ...(team ? { label: [`team=${team}`] } : {}),
    ...(mode === "active" || mode === "shadow" || mode === "paused" ? { mode } : {}),
    ...(source ? { source } : {}),
  };
}

function toggled(before: ReadonlySet<string>, name: string): ReadonlySet<string> {
  const after = new Set(before);
  if (!after.delete(name)) after.add(name);
  return after;
}

const COLUMNS: readonly Column<Rule>[] = [
  { title: "State", kind: "state-of", cell: (rule) => (
    <State tone={rule.late_since ? "bad" : toneOfDecision(rule.decision, rule.reason)}>{rule.late_since ? "late" : rule.reason.replaceAll("_", " ")}</State>
  ) },
  { title: "Rule", kind: "rule", cell: (rule) => (
    <>
      <a href={to(`/rules/${rule.name}`)}>{rule.name}</a>
      {rule.mode === "shadow" && <span class="chip">shadow</span>}
      {rule.labels.team !== undefined && <span class="muted"> {visible(rule.labels.team)}</span>}
      <span class="muted brief">{visible(rule.verdict)}</span>
    </>
  ) },
  { title: "Verdict", kind: "verdict-line", cell: (rule) => <span title={visible(rule.verdict)}>{visible(rule.verdict)}</span> },
  { title: "Could fire", kind: "detail", cell: (rule) => <Moment at={rule.next_fire} none="no time known" /> },
  { title: "Last run", kind: "detail", cell: ({ last_run: run }) => (run === null ? <span class="muted">no run kept</span> : (
    <a href={to(`/runs/${run.id}`)}><State tone={toneOfPhase(run.phase)}>{run.phase}</State></a>
  )) },
];

function Count({ counts, isFiltered }: { counts: Facets | undefined; isFiltered: boolean }) {
  if (counts === undefined) return null;
  return (
    <span class="muted" role="status">
      {many(counts.total, "rule")}{isFiltered && " found"}
      {counts.needs_somebody > 0 && <>, <strong class="needy">{counts.needs_somebody === 1 ? "1 needs" : `${number(counts.needs_somebody)} need`} somebody</strong></>}
      {counts.unknown > 0 && `, ${number(counts.unknown)} not evaluated yet`}
    </span>
  );
}

function Filters({ counts }: { counts: Facets }) {
  return (
    <details class="facets" open={innerWidth > 700}>
      <summary>Filters</summary>
      <div>
        {FACETS.map(([facet, title, list]) => <FacetOf key={facet} facet={facet} title={title} values={counts[list]} />)}
      </div>
    </details>
  );
}

/** Values that are shown at first; the others are in a list to choose from. */
const FEW = 6;

function FacetOf({ facet, title, values }: { facet: Facet; title: string; values: Facets["teams"] }) {
  const [chosen, choose] = useParameter(facet);
  if (values.length === 0 && chosen === "") return null;
  const all = chosen === "" || values.some(({ value }) => value === chosen) ? values : [{ value: chosen, rules: 0 }, ...values];
  const first = all.filter(({ value }, index) => index < FEW || value === chosen);
  const others = all.filter((each) => !first.includes(each));
  const text = (value: string) => visible(facet === "reason" ? value.replaceAll("_", " ") : value);
  return (
    <div class="facet" role="group" aria-label={title}>
      <span class="muted">{title}</span>
      {first.map(({ value, rules }) => (
        <button key={value} class="value" aria-pressed={value === chosen} onClick={() => { choose(value === chosen ? "" : value); }}>
          {text(value)} <span class="muted">{number(rules)}</span>
        </button>
      ))}
      {others.length > 0 && (
        <select aria-label={`More of ${title}`} value="" onChange={(event) => { choose(event.currentTarget.value); }}>
          <option value="">{`${others.length} more …`}</option>
          {others.map(({ value, rules }) => <option key={value} value={value}>{`${text(value)} (${number(rules)})`}</option>)}
        </select>
      )}
    </div>
  );
}

function Nothing({ isFiltered }: { isFiltered: boolean }) {
  if (!isFiltered) return <p class="muted">There is no rule. Write one into the folder that `rules` of the settings names.</p>;
  return <p class="muted">No rule meets all of this. <a href={to("/rules")}>Show all rules</a></p>;
}

interface MarkedProps {
  marked: ReadonlySet<string>;
  total: number;
  filter: Filter;
  mark: (names: ReadonlySet<string>) => void;
}

/** How many rules are marked, and what may be done with them. */
function Marked({ marked, total, filter, mark }: MarkedProps) {
  const [problem, setProblem] = useState("");
  const [asking, setAsking] = useState(false);
  const all = async () => {
    setAsking(true);
    try {
      mark(new Set(await namesOf(filter)));
      setProblem("");
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    } finally {
      setAsking(false);
    }
  };
  const names = [...marked].sort();
  return (
    <div class="acts" role="group" aria-label="Acts on the rules that are marked">
      <span role="status" class="muted">{asking ? "Marking …" : problem || (marked.size === 0 ? "None marked" : `${number(marked.size)} marked`)}</span>
      {marked.size > 0 && <button class="plain" onClick={() => { mark(new Set()); }}>Clear</button>}
      <button class="plain" disabled={asking || total === 0} onClick={() => void all()}>{`Mark all ${number(total)}`}</button>
      <ActOnRules act="pause" rules={names} />
      <ActOnRules act="resume" rules={names} />
      <ActOnRules act="trigger" rules={names} />
    </div>
  );
}

/** Names in one answer, when all are marked. */
const MOST = 1000;

async function namesOf(filter: Filter): Promise<string[]> {
  const names: string[] = [];
  let cursor: string | null = null;
  do {
    const page: Schemas["RuleLinePage"] = await get("/api/v1/rules", { query: { ...filter, limit: MOST, ...(cursor === null ? {} : { cursor }) } });
    names.push(...page.items.map(nameOf));
    cursor = page.next;
  } while (cursor !== null);
  return names;
}
