import { useMemo, useState } from "preact/hooks";

import { get } from "../api/client";
import { Missing, Panel } from "../parts/basics";
import { to, useParameter } from "../state/address";
import { useQuery } from "../state/query";
import { useSimulation } from "../state/simulation";
import { visible } from "../state/text";
import { asked, read, written } from "../state/what-if";
import { Moved } from "./what-if/fields";
import { Result } from "./what-if/result";
import "../styles/what-if.css";

const DAYS = ["7", "14", "30", "60", "90"];
const DEFAULT_DAYS = "30";
const DAY = 86_400_000;

export function WhatIfScreen() {
  const [rule] = useParameter("rule");
  return (
    <>
      <header class="head">
        <div class="title">
          <h1>What if</h1>
          {rule !== "" && <span><a href={to(`/rules/${rule}`)}>{visible(rule)}</a> · <a href={to("/what-if")}>another rule</a></span>}
        </div>
        <p class="muted">A rule is played on the events that were kept: as it is, and with other numbers. Nothing is changed by this.</p>
      </header>
      {rule === "" ? <Choose /> : <OneRule key={rule} rule={rule} />}
    </>
  );
}

function Choose() {
  const [name, setName] = useParameter("name");
  const found = useQuery(`what-if rules ${name}`, (signal) => get("/api/v1/rules", { query: { name, limit: 50 }, signal }));
  return (
    <Panel title="Choose a rule">
      <label>
        Name
        <input id="search" type="search" value={name} onInput={(event) => { setName(event.currentTarget.value, true); }} />
      </label>
      {found.data === undefined ? (
        <Missing problem={found.problem} what="rules" />
      ) : found.data.items.length === 0 ? (
        <p class="muted">{name === "" ? "There is no rule yet." : "No rule has this in its name."}</p>
      ) : (
        <ul class="chosen">
          {found.data.items.map((line) => (
            <li key={line.name}>
              <a href={to("/what-if", { rule: line.name })}>{line.name}</a> <span class="muted">{visible(line.description)}</span>
            </li>
          ))}
        </ul>
      )}
      {found.data?.next && <p class="muted">There are more: write a part of the name.</p>}
    </Panel>
  );
}

/** The end of the period in the address; undefined if it is none. */
function kept(until: string): number | undefined {
  const end = Date.parse(until);
  return end >= 0 ? end : undefined;
}

function OneRule({ rule }: { rule: string }) {
  const [set, setSet] = useParameter("set");
  const [days, setDays] = useParameter("days");
  const [until, setUntil] = useParameter("until");
  const [opened] = useState(() => Date.now());
  const changes = useMemo(() => read(set), [set]);
  const fields = useQuery(`fields ${rule}`, (signal) => get("/api/v1/rules/{rule}/fields", { path: { rule }, signal }));
  const known = fields.data;
  const request = useMemo(() => {
    if (known === undefined) return undefined;
    const end = Math.min(kept(until) ?? opened, opened);
    const length = Number(DAYS.includes(days) ? days : DEFAULT_DAYS) * DAY;
    return { rule, changes: asked(changes, known), text: "", since: new Date(end - length).toISOString(), until: new Date(end).toISOString() };
  }, [known, rule, changes, days, until, opened]);
  const simulated = useSimulation(request);
  if (known === undefined) return <Missing problem={fields.problem} what={`the fields of ${rule}`} />;
  const change = (path: string, value: string | undefined) => {
    const next = Object.entries(changes).filter(([each]) => each !== path);
    setSet(written(Object.fromEntries(value === undefined ? next : [...next, [path, value]])), true);
  };
  return (
    <div class="columns what-if">
      <Panel
        title="Numbers of the rule"
        extra={<button disabled={set === ""} onClick={() => { setSet("", true); }}>As it is</button>}
      >
        <label class="period">
          Period
          <select value={DAYS.includes(days) ? days : DEFAULT_DAYS} onChange={(event) => { setDays(event.currentTarget.value, true); }}>
            {DAYS.map((each) => <option key={each} value={each}>{each} days until {until === "" ? "now" : visible(until.slice(0, 16))}</option>)}
          </select>
        </label>
        <p class="muted">
          {until === ""
            ? <>The address has all of this but the end of the period. <button class="plain link" onClick={() => { setUntil(new Date(opened).toISOString(), true); }}>Keep the end</button></>
            : <>The period ends where it ended when the address was made. <button class="plain link" onClick={() => { setUntil("", true); }}>Until now</button></>}
        </p>
        {known.length === 0 && <p class="muted">This rule has no number that can be moved.</p>}
        <Moved fields={known} changes={changes} onChange={change} />
      </Panel>
      <Result simulated={simulated} changed={set !== ""} rule={rule} />
    </div>
  );
}
