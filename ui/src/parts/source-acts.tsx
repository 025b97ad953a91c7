import { post, remove, type Schemas } from "../api/client";
import { number } from "../state/numbers";
import { visible } from "../state/text";
import { Act } from "./act";

type Replay = Schemas["Replay"];

/** Set where a part continues, after a dry run that says what is skipped or read again. */
export function Reset({ source, partition }: { source: string; partition: string }) {
  const path = { source };
  const place = (values: Readonly<Record<string, string>>) => {
    const to = values.to ?? "latest";
    return to === "an offset" ? Number(values.offset) : (to as "earliest" | "latest");
  };
  return (
    <Act
      button="Reset …"
      title="Reset the position"
      subject={`${source} ${visible(partition)}`}
      what="Sets where this part continues, whatever its stored position. A halted part is read again after it."
      fields={[
        { name: "to", label: "Continue at", options: ["latest", "earliest", "an offset"], initial: "latest" },
        { name: "offset", label: "The offset, if one is chosen", kind: "number", initial: "0" },
      ]}
      preview={async (values) => {
        const plan = await post("/api/v1/sources/{source}/reset", { path, body: { partition, to: place(values), dry_run: true } });
        return <p>It {visible(plan.detail)}.</p>;
      }}
      send={async (_, values) => {
        const done = await post("/api/v1/sources/{source}/reset", { path, body: { partition, to: place(values), dry_run: false } });
        return { text: `It ${done.detail}.` };
      }}
    />
  );
}

interface ReplayProps {
  source: string;
  dryRun?: boolean;
  /** The last replay since the daemon started. */
  last: Replay | null;
}

/** Read a source again. The dry run is a replay that stores nothing, and may take as long. */
export function ReplaySource({ source, dryRun = false, last }: ReplayProps) {
  return (
    <Act
      button={dryRun ? "Try a replay …" : "Replay …"}
      title={dryRun ? "Try a replay" : "Replay the source"}
      subject={source}
      what={dryRun ? "Reads the source again and counts what would happen. Nothing is stored." : "Reads the source again. What a rule has counted before is not counted again; what counts may start runs."}
      fields={[
        { name: "from", label: "From: a time as 2026-11-24T08:00:00Z, or a duration before now as 7d", initial: "1d", required: true },
        { name: "to", label: "To: the same; now if empty" },
        { name: "rules", label: "Rules, separated by commas; all that use it if empty" },
      ]}
      preview={() => Promise.resolve(<Before last={last} dryRun={dryRun} />)}
      send={async (_, { from = "", to = "", rules = "" }) => {
        const names = rules.split(",").map((name) => name.trim()).filter(Boolean);
        await start(source, { from, rules: names, dry_run: dryRun, ...(to === "" ? {} : { to }) });
        return { text: "It has started. The page shows its progress." };
      }}
    />
  );
}

/** The route answers 202, for which `post` has no type. */
async function start(source: string, body: object): Promise<void> {
  await post("/api/v1/sources/{source}/replay", { path: { source }, body: body as never });
}

function Before({ last, dryRun }: { last: Replay | null; dryRun: boolean }) {
  if (dryRun) return <p class="muted">It takes as long as a replay, and can be cancelled.</p>;
  if (!last?.dry_run || last.state !== "done") return <p class="note wait">No dry run has ended yet. Try a replay first, to see what it would count.</p>;
  const { matched, duplicate, unknown } = last.outcomes;
  return <p>The last dry run read {number(last.read)} events: {number(matched)} would count, {number(duplicate)} were counted before, and of {number(unknown)} it is not known.</p>;
}

export function CancelReplay({ source }: { source: string }) {
  return (
    <Act
      button="Cancel …"
      title="Cancel the replay"
      subject={source}
      what="It ends after the events that it is reading. What was stored stays."
      send={async () => {
        await remove("/api/v1/sources/{source}/replay", { path: { source } });
        return { text: "It was asked to end." };
      }}
    />
  );
}
