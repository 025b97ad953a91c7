import { useState } from "preact/hooks";

import { get, type Run } from "../api/client";
import { Panel } from "../parts/basics";
import { ChoiceFilter, Filters, PeriodFilter, TextFilter, useFilters } from "../parts/filters";
import { Listed } from "../parts/pages";
import { Runs } from "../parts/runs";
import { useParameter } from "../state/address";
import { many } from "../state/numbers";
import { asked, usePages } from "../state/pages";
import { MOST, compared } from "../state/compared";

import "../styles/run.css";

const SHOWN = 50;
const FILTERS = ["rule", "key", "phase", "trigger", "since", "until"] as const;
const PHASES = ["PENDING", "SUBMITTING", "SUBMITTED", "RUNNING", "SUCCEEDED", "FAILED", "ERROR", "CANCELLED", "SKIPPED", "UNKNOWN"];
const RUNNING_FIRST = "running";

export function RunsScreen() {
  const filters = useFilters(...FILTERS);
  const [order, setOrder] = useParameter("order");
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const toggle = (run: string) => { setChosen((before) => new Set(before.has(run) ? [...before].filter((each) => each !== run) : [...before, run])); };
  const apart = order === RUNNING_FIRST && filters.phase === undefined;
  const selection = { chosen, toggle };
  return (
    <>
      <h1>Runs{filters.rule !== undefined && ` of ${filters.rule}`}</h1>
      <Filters names={FILTERS}>
        <TextFilter name="rule" label="Rule" />
        <TextFilter name="key" label="Key" />
        <ChoiceFilter name="phase" label="Phase" options={PHASES} />
        <TextFilter name="trigger" label="Trigger (or manual)" />
        <PeriodFilter />
        <label>
          Order
          <select value={apart ? RUNNING_FIRST : ""} disabled={filters.phase !== undefined} onChange={(event) => { setOrder(event.currentTarget.value); }}>
            <option value="">newest first</option>
            <option value={RUNNING_FIRST}>not ended first</option>
          </select>
        </label>
      </Filters>
      <div class="acts compare-bar">
        {chosen.size >= 2 && chosen.size <= MOST ? <a class="button" href={compared([...chosen])}>Compare {many(chosen.size, "run")}</a> : <span class="muted">{chosen.size > MOST ? `At most ${MOST} runs can be compared: ${chosen.size} are selected.` : `Select two to ${MOST} runs to compare them.`}</span>}
        {chosen.size > 0 && <button onClick={() => { setChosen(new Set()); }}>Select none</button>}
      </div>
      {apart && <Panel title="Not ended"><List filters={{ ...filters, ended: "false" }} selection={selection} none="No run is going on." /></Panel>}
      {apart ? <Panel title="Ended"><List filters={{ ...filters, ended: "true" }} selection={selection} none="No run has ended." /></Panel> : <List filters={filters} selection={selection} none={Object.keys(filters).length === 0 ? "There is no run yet." : "No run is so. Clear a filter to see others."} />}
    </>
  );
}

interface ListProps {
  filters: Readonly<Record<string, string>>;
  selection: { chosen: ReadonlySet<string>; toggle: (run: string) => void };
  none: string;
}

function List({ filters, selection, none }: ListProps) {
  const runs = usePages<Run>(`runs ${JSON.stringify(filters)}`, ({ id }) => id, (cursor, signal) =>
    get("/api/v1/runs", { query: asked({ limit: SHOWN, ...filters, cursor }), signal }),
  );
  return <Listed pages={runs} what="run" none={none}>{(rows) => <Runs runs={rows} problem={undefined} ruleShown selection={selection} />}</Listed>;
}
