import { useRoute } from "preact-iso";

import { get, type Schemas } from "../api/client";
import { Missing, Moment, Panel, Stale, State } from "../parts/basics";
import { DensityStrip } from "../parts/density";
import { CancelReplay, ReplaySource, Reset } from "../parts/source-acts";
import { Table } from "../parts/table";
import { to } from "../state/address";
import { number } from "../state/numbers";
import { useQuery } from "../state/query";
import { mayAdminister } from "../state/session";
import { visible } from "../state/text";
import { span } from "../state/time";
import { SourceState } from "./sources";

type Detail = Schemas["SourceDetail"];

const MOST_PARTS = 100;
const MOST_RULES = 100;

/** One source: whether it works, its parts with the way out of a halt, replays, who uses it, its settings. */
export function SourceScreen() {
  const { source = "" } = useRoute().params;
  const found = useQuery(`source ${source}`, (signal) => get("/api/v1/sources/{source}", { path: { source }, signal }));
  if (found.data === undefined) return <Missing problem={found.problem} what={`source ${visible(source)}`} />;
  const detail = found.data;
  return (
    <>
      <Stale problem={found.problem} />
      <header class="head">
        <div class="title"><h1>{detail.name}</h1> <SourceState source={detail} /> <span class="muted">{detail.type}</span> <a href={to("/sources")}>All sources</a></div>
        {detail.last_error !== null && <p class="note bad">{visible(detail.last_error)}</p>}
        {detail.silent === true && <p class="note wait">Nothing was received for longer than {span(detail.max_silence ?? 0)}, the `max_silence` of its settings.</p>}
        <dl class="facts">
          <dt>Last event</dt><dd><Moment at={detail.last_event_at} long /></dd>
          <dt>Lag</dt><dd>{detail.lag === null ? "not known" : `${number(detail.lag)} records are not stored yet`}</dd>
          {detail.poll_errors !== null && <><dt>Failed polls</dt><dd>{number(detail.poll_errors)} since it was started</dd></>}
          <dt>Configured since</dt><dd><Moment at={detail.first_seen_at} long /></dd>
        </dl>
      </header>
      {detail.halted.length > 0 && <Halted detail={detail} />}
      <Panel title="Events" extra={<a href={to("/events", { source })}>list</a>}><DensityStrip source={source} /></Panel>
      {detail.positions.length > 0 && <Parts detail={detail} />}
      <Replays detail={detail} />
      <Users source={source} />
      <Panel title="Settings">
        <p class="muted">Secrets are named by where they are, never shown. Durations are in seconds, sizes in bytes.</p>
        <pre class="text">{visible(JSON.stringify(detail.configuration, null, 2))}</pre>
      </Panel>
    </>
  );
}

/** What is not read until somebody decides: why, in the server's words, and what may be done. */
function Halted({ detail }: { detail: Detail }) {
  const known = new Set(detail.positions.map(({ partition }) => partition));
  return (
    <Panel title="Halted: not read until somebody decides">
      <ul class="halted">
        {detail.halted.map(({ partition, reason }) => (
          <li key={partition}>
            <p><State tone="bad">halted</State> <strong>{visible(partition)}</strong> {visible(reason)}</p>
            {mayAdminister() && detail.resettable && known.has(partition) && <div class="acts"><Reset source={detail.name} partition={partition} /></div>}
          </li>
        ))}
      </ul>
      {!mayAdminister() && <p class="muted">To reset it, a token needs the verb `administer`.</p>}
    </Panel>
  );
}

/** A bucket that is listed at intervals has no position: its number is since when objects are looked for. */
function isSwept(partition: string): boolean {
  return partition.startsWith("sweep:");
}

function Parts({ detail }: { detail: Detail }) {
  const halted = new Set(detail.halted.map(({ partition }) => partition));
  const rows = [...detail.positions].sort((a, b) => Number(halted.has(b.partition)) - Number(halted.has(a.partition)));
  const acts = mayAdminister() && detail.resettable;
  return (
    <Panel title="Parts">
      <Table
        label="Parts"
        rows={rows.slice(0, MOST_PARTS)}
        id={({ partition }) => partition}
        columns={[
          { title: "Part", kind: "wrap", cell: ({ partition }) => visible(partition) },
          { title: "Continues at", kind: "number", cell: ({ partition, next }) => (isSwept(partition) ? <Moment at={new Date(next * 1000).toISOString()} /> : String(next)) },
          { title: "State", cell: ({ partition }) => (halted.has(partition) ? <State tone="bad">halted</State> : <State tone="good">read</State>) },
          ...(acts ? [{ title: "Act", cell: ({ partition }: { partition: string }) => !isSwept(partition) && <Reset source={detail.name} partition={partition} /> }] : []),
        ]}
      />
      {rows.length > MOST_PARTS && <p class="muted">and {number(rows.length - MOST_PARTS)} more: `retrainer sources show {detail.name}`</p>}
    </Panel>
  );
}

/** Reading the source again: what the last one counted, its progress, and a new one. */
function Replays({ detail }: { detail: Detail }) {
  const { name, not_replayable: why, replay } = detail;
  const running = replay?.state === "running";
  return (
    <Panel title="Replay" extra={mayAdminister() && why === "" && (
      <div class="acts">
        {running ? <CancelReplay source={name} /> : <><ReplaySource source={name} dryRun last={replay} /><ReplaySource source={name} last={replay} /></>}
      </div>
    )}>
      {why !== "" ? <p class="muted">It cannot be read again: {visible(why)}.</p>
        : replay === null ? <p class="muted">It was not read again since the daemon started.</p>
        : <Progress replay={replay} />}
    </Panel>
  );
}

const TONES = { running: "active", done: "good", cancelled: "wait", failed: "bad" } as const;

function Progress({ replay }: { replay: Schemas["Replay"] }) {
  const counts = Object.entries(replay.outcomes).filter(([, count]) => count > 0);
  return (
    <>
      <p>
        <State tone={TONES[replay.state]}>{replay.state}</State> {replay.dry_run ? "dry run" : "replay"} from <Moment at={replay.from} /> to <Moment at={replay.to} />, started <Moment at={replay.started_at} />
      </p>
      {replay.error !== "" && <p class="note bad">{visible(replay.error)}</p>}
      <p role="status">
        {number(replay.read)} events read{counts.length > 0 && `: ${counts.map(([word, count]) => `${number(count)} ${word.replaceAll("_", " ")}`).join(", ")}`}
        {replay.reached !== null && <>; reached <Moment at={replay.reached} /></>}
      </p>
      <p class="muted">For {replay.rules.join(", ")}</p>
    </>
  );
}

function Users({ source }: { source: string }) {
  const found = useQuery(`rules with ${source}`, (signal) => get("/api/v1/rules", { query: { source, limit: MOST_RULES }, signal }));
  return (
    <Panel title="Rules that use it" extra={<a href={to("/rules", { source })}>list</a>}>
      {found.data === undefined ? <Missing problem={found.problem} what="rules" />
        : found.data.items.length === 0 ? <p class="muted">No rule uses it.</p>
        : <ul class="chips">{found.data.items.map(({ name }) => <li key={name}><a class="chip" href={to(`/rules/${name}`)}>{name}</a></li>)}{found.data.next !== null && <li class="muted">and more</li>}</ul>}
    </Panel>
  );
}
