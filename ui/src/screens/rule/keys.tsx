import { get, type Schemas } from "../../api/client";
import { Moment, State } from "../../parts/basics";
import { KeyField } from "../../parts/key-field";
import { Listed } from "../../parts/pages";
import { Table } from "../../parts/table";
import { to, useParameter } from "../../state/address";
import { number } from "../../state/numbers";
import { usePages } from "../../state/pages";
import { visible } from "../../state/text";
import { toneOfDecision, toneOfPhase } from "../../state/tones";
import { isPerKey } from "./configured";

type Key = Schemas["Key"];

const SHOWN = 25;

/** The keys of a rule with `for_each`. Choosing one shows the whole screen for it. */
export function Keys({ line, ruleKey, onKey }: { line: Schemas["RuleDetail"]; ruleKey: string; onKey: (key: string) => void }) {
  const [prefix, setPrefix] = useParameter("prefix");
  const rule = line.name;
  const pages = usePages<Key>(`keys ${rule} ${prefix}`, (each) => each.key, (cursor, signal) =>
    get("/api/v1/rules/{rule}/keys", { path: { rule }, query: { limit: SHOWN, ...(prefix === "" ? {} : { prefix }), ...(cursor === undefined ? {} : { cursor }) }, signal }),
  );
  if (!isPerKey(line)) return <p class="muted">This rule has one state: it has no <code>for_each</code>.</p>;
  return (
    <div class="tab">
      <div class="choices">
        <KeyField label="Keys that begin with" value={prefix} set={setPrefix} />
        {ruleKey !== "" && <button onClick={() => { onKey(""); }}>Leave the key {visible(ruleKey)}</button>}
      </div>
      <Listed pages={pages} what="key" none={prefix === "" ? "No event has had a key yet." : "No key begins so."}>
        {(rows) => (
          <Table
            label="Keys"
            rows={rows}
            id={(each) => each.key}
            selected={ruleKey === "" ? undefined : rows.find((each) => each.key === ruleKey)}
            columns={[
              { title: "Key", kind: "wrap", cell: ({ key }) => key === "" ? <span class="muted">of the rule itself</span> : <button onClick={() => { onKey(key); }}>{visible(key)}</button> },
              { title: "State", cell: ({ decision, reason }) => <State tone={toneOfDecision(decision, reason)}>{decision} · {reason.replaceAll("_", " ")}</State> },
              { title: "Pending", kind: "number", cell: ({ pending_events }) => number(pending_events) },
              { title: "Oldest", cell: ({ pending_since }) => pending_since && <Moment at={pending_since} /> },
              { title: "Last run", cell: ({ last_run: run }) => run && <><a class="mono" href={to(`/runs/${run.id}`)}>{run.id.slice(-6)}</a> <State tone={toneOfPhase(run.phase)}>{run.phase}</State></> },
              { title: "Evaluated again", cell: ({ wake_at }) => wake_at && <Moment at={wake_at} /> },
              { title: "Changed", cell: ({ touched_at }) => <Moment at={touched_at} /> },
            ]}
          />
        )}
      </Listed>
    </div>
  );
}
