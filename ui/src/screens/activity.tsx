import { get } from "../api/client";
import { Missing, Moment, Stale, State } from "../parts/basics";
import { Table } from "../parts/table";
import { to, useParameter } from "../state/address";
import { useQuery } from "../state/query";
import { visible } from "../state/text";

/** Who paused, triggered, edited, reloaded, and from where; and what was refused. */
export function ActivityScreen() {
  const [by] = useParameter("by");
  const [rule] = useParameter("rule");
  const query = { limit: 100, ...(by === "" ? {} : { by }), ...(rule === "" ? {} : { rule }) };
  const found = useQuery(`activity ${by} ${rule}`, (signal) => get("/api/v1/activity", { query, signal }));
  const filters = [by && `by ${by}`, rule && `on ${rule}`].filter(Boolean).join(", ");
  return (
    <>
      <h1>Activity {filters && <span class="muted">{filters} <a href={to("/activity")}>show all</a></span>}</h1>
      <Stale problem={found.data && found.problem} />
      {found.data === undefined ? (
        <Missing problem={found.problem} what="the activity" />
      ) : found.data.items.length === 0 ? (
        <p class="muted">Nobody has done anything yet.</p>
      ) : (
        <Table
      label="Activity"
          rows={found.data.items}
          id={(act) => act.id}
          columns={[
            { title: "When", cell: ({ last_at }) => <Moment at={last_at} /> },
            { title: "By", cell: (act) => <><a href={to("/activity", { by: act.by })}>{act.by}</a> {act.on_behalf_of && <span class="muted">({visible(act.on_behalf_of)})</span>}</> },
            { title: "Act", cell: (act) => `${act.act.replaceAll("_", " ")}${act.dry_run ? " (dry run)" : ""}` },
            { title: "On", kind: "wrap", cell: (act) => <>{act.rule && <a href={to(`/rules/${act.rule}`, { key: act.key })}>{act.rule}</a>} {visible(act.key)} {visible(act.target)}</> },
            { title: "Result", cell: (act) => <State tone={act.result === "done" ? "good" : "bad"}>{act.result}{act.count > 1 && ` ${act.count} times`}</State> },
            { title: "From", cell: (act) => act.address },
            { title: "Detail", kind: "wrap", cell: (act) => <>{visible(act.detail)} {act.run && <a href={to(`/runs/${act.run}`)}>run {act.run.slice(-6)}</a>}</> },
          ]}
        />
      )}
    </>
  );
}
