import { get, type Schemas } from "../api/client";
import { Moment, State } from "../parts/basics";
import { ChoiceFilter, Filters, PeriodFilter, TextFilter, useFilters } from "../parts/filters";
import { Listed } from "../parts/pages";
import { Table } from "../parts/table";
import { to, useAddress } from "../state/address";
import { asked, usePages } from "../state/pages";
import { visible } from "../state/text";

type Act = Schemas["Activity"];

const SHOWN = 50;
const FILTERS = ["by", "rule", "act", "result", "since", "until"] as const;
const ACTS = [
  "trigger", "withdraw_triggers", "backfill", "withdraw_backfills", "pause", "resume", "cancel", "retry", "feedback", "import_state", "replay_dead_letters",
  "discard_dead_letters", "reset_source", "replay_source", "cancel_replay", "backup", "report_backup", "reload", "log_level", "edit", "request",
];

/** Who paused, triggered, edited, reloaded, and from where; and what was refused. */
export function ActivityScreen() {
  const filters = useFilters(...FILTERS);
  const { link } = useAddress();
  const acts = usePages<Act>(`activity ${JSON.stringify(filters)}`, ({ id }) => id, (cursor, signal) => get("/api/v1/activity", { query: asked({ limit: SHOWN, ...filters, cursor }), signal }));
  return (
    <>
      <h1>Activity</h1>
      <Filters names={FILTERS}>
        <TextFilter name="by" label="By (name of a token)" />
        <TextFilter name="rule" label="On rule" />
        <ChoiceFilter name="act" label="Act" options={ACTS} />
        <ChoiceFilter name="result" label="Result" options={["done", "refused"]} />
        <PeriodFilter />
      </Filters>
      <Listed pages={acts} what="act" none={Object.keys(filters).length === 0 ? "Nobody has done anything yet." : "No act is so. Clear a filter to see others."}>
        {(rows) => (
          <Table
            label="Activity"
            rows={rows}
            id={(act) => act.id}
            columns={[
              { title: "When", cell: ({ last_at }) => <Moment at={last_at} /> },
              { title: "By", cell: (act) => <>{act.by === "" ? <span class="muted">unknown token</span> : <a href={link({ by: act.by })}>{visible(act.by)}</a>} {act.on_behalf_of && <span class="muted">({visible(act.on_behalf_of)})</span>}</> },
              { title: "Act", cell: (act) => `${act.act.replaceAll("_", " ")}${act.dry_run ? " (dry run)" : ""}` },
              { title: "On", kind: "wrap", cell: (act) => <Place act={act} /> },
              { title: "Result", cell: (act) => <State tone={act.result === "done" ? "good" : "bad"}>{act.result}{act.count > 1 && ` ${act.count} times`}</State> },
              { title: "From", cell: (act) => visible(act.address) },
              { title: "Detail", kind: "wrap", cell: (act) => <Detail act={act} /> },
            ]}
          />
        )}
      </Listed>
    </>
  );
}

/** What it was done to, with a link to its screen. */
function Place({ act }: { act: Act }) {
  const ofSource = act.act === "reset_source" || act.act === "replay_source" || act.act === "cancel_replay";
  return (
    <>
      {act.rule && <a href={to(`/rules/${act.rule}`, { key: act.key })}>{act.rule}</a>} {visible(act.key)}{" "}
      {ofSource ? <a href={to(`/sources/${act.target}`)}>{act.target}</a> : visible(act.target)}
      {act.act.endsWith("dead_letters") && <a href={to("/events", { tab: "dead-letters" })}>dead letters</a>}
    </>
  );
}

function Detail({ act }: { act: Act }) {
  return <>{visible(act.detail)} {act.run && <a href={to(`/runs/${act.run}`)}>run {act.run.slice(-6)}</a>}</>;
}
