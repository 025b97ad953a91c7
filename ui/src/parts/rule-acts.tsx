import { post } from "../api/client";
import { Act, type Done } from "./act";
import { to } from "../state/address";
import { visible } from "../state/text";

/** Start a manual run of a rule, or of one key of it. */
export function Trigger({ rule, ruleKey = "" }: { rule: string; ruleKey?: string }) {
  const path = { rule };
  return (
    <Act
      button="Trigger …"
      title="Start a manual run"
      subject={ruleKey === "" ? rule : `${rule} ${ruleKey}`}
      repeats
      what="A manual run is subject to overlap, budget and pool. If one of these blocks it, it waits."
      preview={async () => {
        const [dry, why] = await Promise.all([
          post("/api/v1/rules/{rule}/trigger", { path, body: { key: ruleKey, dry_run: true } }),
          post("/api/v1/rules/{rule}/explain", { path, body: { key: ruleKey } }),
        ]);
        return (
          <>
            <p class="muted">Without it: {visible(why.verdict)}</p>
            <details>
              <summary>The Workflow that would be created</summary>
              <pre class="text">{visible(JSON.stringify(dry.manifest, null, 2))}</pre>
            </details>
          </>
        );
      }}
      send={async (identity) => {
        const done = await post("/api/v1/rules/{rule}/trigger", { path, headers: { "Idempotency-Key": identity }, body: { key: ruleKey } });
        return {
          text: `${done.decision}: ${done.reason.replaceAll("_", " ")} ${done.detail}`,
          ...(done.run ? { link: { text: "Show the run", address: to(`/runs/${done.run.id}`) } } : {}),
        };
      }}
    />
  );
}

export function Pause({ rule }: { rule: string }) {
  return (
    <Act
      button="Pause …"
      title="Pause the rule"
      subject={rule}
      repeats
      what="No run starts until the rule is resumed. Its schedules and data are still recorded."
      fields={[{ name: "note", label: "Reason, shown with the rule" }]}
      send={async (_, { note = "" }): Promise<Done> => {
        await post("/api/v1/rules/{rule}/pause", { path: { rule }, body: { note } });
        return { text: "The rule is paused." };
      }}
    />
  );
}

export function Resume({ rule }: { rule: string }) {
  return (
    <Act
      button="Resume …"
      title="Resume the rule"
      subject={rule}
      repeats
      what="Ends a manual pause, and closes the circuit breakers of all its keys."
      send={async (): Promise<Done> => {
        await post("/api/v1/rules/{rule}/resume", { path: { rule } });
        return { text: "The rule is active again." };
      }}
    />
  );
}
