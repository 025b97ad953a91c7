import type { ComponentChildren } from "preact";

import { post, remove, type Schemas } from "../api/client";
import { visible } from "../state/text";
import { span } from "../state/time";
import { Act, type Field, type Values } from "./act";
import { Moment } from "./basics";
import { many, number } from "../state/numbers";

const ALL = "all schedules";
const SHOWN = 20;

interface Props {
  rule: string;
  ruleKey: string;
  perKey: boolean;
}

/** Run past slots of schedules again, or for the first time. */
export function Backfill({ rule, ruleKey, perKey, schedules }: Props & { schedules: readonly string[] }) {
  const path = { rule };
  const asked = ({ from = "", to = "", trigger = ALL, key = ruleKey, rerun }: Values) => ({
    from,
    ...(to === "" ? {} : { to }),
    ...(trigger === ALL ? {} : { trigger }),
    key,
    rerun: rerun === "true",
  });
  return (
    <Act
      button="Backfill …"
      title="Request the runs"
      repeats
      subject={rule}
      what="Runs for past slots of the rule's schedules, one after the other. They are subject to overlap, budget and pool."
      fields={[
        { name: "from", label: "From: a date, a time, or a duration before now, such as 7d", initial: "7d", required: true, max: 64 },
        { name: "to", label: "To, without the slot at that time; now if empty", max: 64 },
        ...(schedules.length > 1 ? [{ name: "trigger", label: "Schedule", options: [ALL, ...schedules], initial: ALL }] : []),
        ...keyField(perKey, ruleKey),
        { name: "rerun", label: "Also slots that ran already", kind: "checkbox" as const },
      ]}
      preview={async (values) => <Plan plan={await post("/api/v1/rules/{rule}/backfills", { path, body: { ...asked(values), dry_run: true } })} />}
      send={async (identity, values) => {
        const done = await post("/api/v1/rules/{rule}/backfills", { path, headers: { "Idempotency-Key": identity }, body: asked(values) });
        return { text: done.count === 0 ? "No slot of that time needs a run." : `${many(done.count, "run")} requested. Their progress is shown below.` };
      }}
    />
  );
}

function keyField(perKey: boolean, ruleKey: string): Field[] {
  return perKey ? [{ name: "key", label: "Key", initial: ruleKey, required: true, max: 1024 }] : [];
}

function Plan({ plan }: { plan: Schemas["Backfill"] }) {
  return (
    <>
      <p><strong>{many(plan.count, "run")}</strong> for {many(plan.slots.length, "slot")}{plan.gpu_hours !== null && `, about ${number(plan.gpu_hours)} GPU hours`}{plan.run_seconds !== null && `; a run takes about ${span(plan.run_seconds)}`}.</p>
      {plan.held && <p class="note wait">Held now: {visible(plan.held.reason.replaceAll("_", " "))}, {visible(plan.held.detail)}</p>}
      {plan.last_start !== null && <p>The last one may start <Moment at={plan.last_start} long />.</p>}
      <p class="muted">{visible(plan.note)}</p>
      <details>
        <summary>The slots</summary>
        <ul>
          {plan.slots.slice(0, SHOWN).map((slot) => (
            <li key={`${slot.trigger} ${slot.slot}`}>{slot.runs ? "runs" : "does not run"}: {slot.trigger} <Moment at={slot.slot} long /> <span class="muted">{visible(slot.why)}</span></li>
          ))}
          {plan.slots.length > SHOWN && <li class="muted">and {number(plan.slots.length - SHOWN)} more</li>}
        </ul>
      </details>
    </>
  );
}

/** Take back what was requested and has not started: waiting manual runs, or the slots of backfills. */
export function Withdraw({ rule, ruleKey, perKey, of }: Props & { of: "manual runs" | "backfills" }) {
  const path = of === "backfills" ? "/api/v1/rules/{rule}/backfills" : "/api/v1/rules/{rule}/trigger";
  const keyOf = ({ key = ruleKey }: Values) => key;
  return (
    <Act
      button={`Withdraw ${of} …`}
      title={`Withdraw waiting ${of}`}
      subject={rule}
      what="What waits is dropped, and runs that wait for admission are cancelled. Runs that have started continue."
      fields={keyField(perKey, ruleKey)}
      preview={(values) => waiting(rule, keyOf(values))}
      send={async (_, values) => {
        const done = await remove(path, { path: { rule }, query: { key: keyOf(values) } }) as Schemas["Withdrawn"];
        return { text: `${number(done.dropped)} dropped, ${many(done.cancelled, "run")} cancelled.` };
      }}
    />
  );
}

/** What waits, in the words of the engine: its requests, and runs that it created and not yet admitted. */
async function waiting(rule: string, key: string): Promise<ComponentChildren> {
  const { tree } = await post("/api/v1/rules/{rule}/explain", { path: { rule }, body: { key } });
  const nodes = tree.filter((node) => node.name === "requests" || node.name.startsWith("run "));
  if (nodes.length === 0) return <p class="muted">Nothing waits now.</p>;
  return <ul>{nodes.map((node) => <li key={node.name}>{visible(`${node.name}: ${node.state}, ${node.detail}`)}</li>)}</ul>;
}
