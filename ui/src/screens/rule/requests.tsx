import { get, type Schemas } from "../../api/client";
import { Missing, Moment, Panel, State, type Tone } from "../../parts/basics";
import { Backfill, Withdraw } from "../../parts/request-acts";
import { Table } from "../../parts/table";
import { to } from "../../state/address";
import { many, number } from "../../state/numbers";
import { useQuery } from "../../state/query";
import { mayAct } from "../../state/session";
import { visible } from "../../state/text";
import { isPerKey, schedulesOf } from "./configured";

type Progress = Schemas["Progress"];
type Slot = Schemas["SlotStanding"];

const TONES: Readonly<Record<Slot["state"], Tone>> = { waiting: "wait", running: "active", succeeded: "good", failed: "bad", cancelled: "idle", dropped: "idle" };
const STATES = ["waiting", "running", "succeeded", "failed", "cancelled", "dropped"] as const;
/** Slots that are listed; those that wait or failed come first. */
const SHOWN = 100;

/** What somebody requested: manual runs that wait, and the last backfill with its progress. */
export function Requests({ line, ruleKey }: { line: Schemas["RuleDetail"]; ruleKey: string }) {
  const rule = line.name;
  const perKey = isPerKey(line);
  const schedules = schedulesOf(line);
  const found = useQuery(`requests ${rule} ${ruleKey}`, (signal) => get("/api/v1/rules/{rule}/requests", { path: { rule }, query: { key: ruleKey }, signal }));
  const props = { rule, ruleKey, perKey };
  return (
    <div class="tab">
      {found.data === undefined ? (
        <Missing problem={found.problem} what="requests" />
      ) : (
        <p>{found.data.waiting === "" ? "No request waits." : visible(`Waiting: ${found.data.waiting}.`)}{perKey && ruleKey === "" && " Each key has its own: choose one on the tab Keys."}</p>
      )}
      {mayAct() && (
        <div class="acts">
          {schedules.length > 0 && <Backfill {...props} schedules={schedules} />}
          <Withdraw {...props} of="manual runs" />
          {schedules.length > 0 && <Withdraw {...props} of="backfills" />}
        </div>
      )}
      {schedules.length === 0 && <p class="muted">The rule has no schedule, so it has no past slots to run.</p>}
      {found.data?.backfill && <Last progress={found.data.backfill} />}
      {found.data?.backfill === null && schedules.length > 0 && <p class="muted">No backfill was requested, or it was pruned.</p>}
    </div>
  );
}

function Last({ progress }: { progress: Progress }) {
  const done = progress.total - progress.waiting - progress.running;
  const slots = [...progress.slots].sort((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state)).slice(0, SHOWN);
  return (
    <Panel title="The last backfill" extra={<State tone={progress.ended ? (progress.failed > 0 ? "bad" : "good") : "active"}>{progress.ended ? "ended" : "in progress"}</State>}>
      <p>
        {number(done)} of {many(progress.total, "slot")} done: {STATES.filter((state) => progress[state] > 0).map((state) => `${number(progress[state])} ${state}`).join(", ") || "none"}.
        {" "}Requested <Moment at={progress.asked_at} long />{progress.by !== "" && ` by ${visible(progress.by)}`}.
      </p>
      <progress max={Math.max(1, progress.total)} value={done} aria-label="Slots that are done" />
      <Table
        label="Slots of the backfill"
        rows={slots}
        id={(slot) => `${slot.trigger} ${slot.slot}`}
        columns={[
          { title: "Slot", cell: ({ slot }) => <Moment at={slot} /> },
          { title: "Schedule", cell: ({ trigger }) => trigger },
          { title: "State", cell: ({ state }) => <State tone={TONES[state]}>{state}</State> },
          { title: "Run", cell: ({ run }) => run && <a class="mono" href={to(`/runs/${run}`)}>{run.slice(-6)}</a> },
        ]}
      />
      {progress.slots.length > SHOWN && <p class="muted">{number(progress.slots.length - SHOWN)} more slots are not listed.</p>}
    </Panel>
  );
}
