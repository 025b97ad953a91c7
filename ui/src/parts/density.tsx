import { useState } from "preact/hooks";

import { get, type Schemas } from "../api/client";
import { useAddress } from "../state/address";
import { many, number } from "../state/numbers";
import { useQuery } from "../state/query";
import { absolute } from "../state/time";
import { zone, zoneName } from "../state/zone";

import "../styles/density.css";

type Density = Schemas["EventDensity"];
type Bucket = Schemas["EventBucket"];

const OUTCOMES = ["matched", "filtered", "ignored", "dead_lettered"] as const;
const HEIGHT = 56;
const PERIODS = [["1 h", 1], ["6 h", 6], ["1 day", 24], ["7 days", 168], ["30 days", 720]] as const;
const HOUR = 3_600_000;

/** How many events arrived when, by outcome, over the period of the address. A bar narrows the period to itself. */
export function DensityStrip({ source }: { source?: string | undefined }) {
  const { query, change } = useAddress();
  const { since, until } = query;
  const [partial, setPartial] = useState<{ key: string; data: Density }>();
  const key = `density ${source ?? ""} ${since ?? ""} ${until ?? ""}`;
  const found = useQuery(key, async (signal) => {
    for (;;) {
      const data = await get("/api/v1/events/density", { query: { ...(since ? { since } : {}), ...(until ? { until } : {}), ...(source ? { source } : {}) }, signal });
      if (data.complete || signal.aborted) return data;
      setPartial({ key, data });
    }
  });
  const data = found.data ?? (partial?.key === key ? partial.data : undefined);
  return (
    <div class="density">
      <div class="chips" role="group" aria-label="Period">
        {PERIODS.map(([title, hours]) => (
          <button key={title} onClick={() => { change({ since: new Date(Date.now() - hours * HOUR).toISOString(), until: "" }); }}>{title}</button>
        ))}
      </div>
      {data === undefined ? (
        <p class={found.problem ? "note bad" : "muted"} role="status">{found.problem?.detail ?? "Counting events …"}</p>
      ) : (
        <Strip data={data} narrow={(bucket) => { change(periodOf(bucket, data.seconds)); }} />
      )}
    </div>
  );
}

function periodOf(bucket: Bucket, seconds: number) {
  const begin = Date.parse(bucket.at);
  return { since: new Date(begin).toISOString(), until: new Date(begin + seconds * 1000).toISOString() };
}

function Strip({ data, narrow }: { data: Density; narrow: (bucket: Bucket) => void }) {
  const [at, setAt] = useState<number>();
  const { buckets } = data;
  const begin = Date.parse(data.since);
  const width = data.seconds * 1000;
  const count = Math.max(1, Math.round((Date.parse(data.until) - begin) / width));
  const most = Math.max(1, ...buckets.map(sum));
  const chosen = at === undefined ? undefined : buckets[Math.min(at, buckets.length - 1)];
  const walk = (event: KeyboardEvent) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0 && event.key !== "Enter") return;
    event.preventDefault();
    if (by !== 0) setAt(Math.min(buckets.length - 1, Math.max(0, (at ?? (by > 0 ? -1 : buckets.length)) + by)));
    else if (chosen) narrow(chosen);
  };
  const range = `${absolute(data.since, zone.value)} to ${absolute(data.until, zone.value)} ${zoneName(zone.value)}`;
  return (
    <>
      {buckets.length > 0 && (
        <div
          class="strip"
          role="slider"
          tabIndex={0}
          aria-label={`Events from ${range}, a bar for ${data.seconds / 60} minutes; Enter narrows the period`}
          aria-valuemin={0}
          aria-valuemax={buckets.length - 1}
          aria-valuenow={at ?? 0}
          aria-valuetext={chosen ? told(chosen, data.seconds) : "no bar is selected"}
          onKeyDown={walk}
        >
          <svg viewBox={`0 0 ${count * 10} ${HEIGHT}`} height={HEIGHT} width="100%" preserveAspectRatio="none" aria-hidden="true">
            {buckets.map((bucket, index) => (
              <g key={bucket.at} class={bucket === chosen ? "bucket chosen" : "bucket"} onClick={() => { narrow(bucket); }} onPointerEnter={() => { setAt(index); }}>
                <rect class="whole" x={((Date.parse(bucket.at) - begin) / width) * 10} y={0} width={10} height={HEIGHT} />
                {stacked(bucket, most).map(({ outcome, y, height }) => (
                  <rect key={outcome} class={outcome} x={((Date.parse(bucket.at) - begin) / width) * 10 + 0.5} y={y} width={9} height={height} />
                ))}
              </g>
            ))}
          </svg>
        </div>
      )}
      <p class="legend muted">
        {buckets.length === 0 ? `No event arrived from ${range}.` : chosen ? told(chosen, data.seconds) : `${number(sum(data.total))} from ${range}.`}
        {!data.complete && " Still counting earlier ones."}
      </p>
      <ul class="legend">
        {OUTCOMES.filter((outcome) => data.total[outcome] > 0).map((outcome) => (
          <li key={outcome}><span class={`swatch ${outcome}`} aria-hidden="true" /> {number(data.total[outcome])} {outcome.replaceAll("_", " ")}</li>
        ))}
      </ul>
    </>
  );
}

function sum(counts: Schemas["EventCount"]): number {
  return OUTCOMES.reduce((total, outcome) => total + counts[outcome], 0);
}

/** The parts of a bar from below, each at least one unit high where there is any. */
function stacked(bucket: Bucket, most: number) {
  let below = HEIGHT;
  return OUTCOMES.filter((outcome) => bucket[outcome] > 0).map((outcome) => {
    const height = Math.max(2, (bucket[outcome] / most) * (HEIGHT - 6));
    below -= height;
    return { outcome, y: below, height };
  });
}

function told(bucket: Bucket, seconds: number): string {
  const end = absolute(Date.parse(bucket.at) + seconds * 1000, zone.value).slice(11, 16);
  const parts = OUTCOMES.filter((outcome) => bucket[outcome] > 0).map((outcome) => `${number(bucket[outcome])} ${outcome.replaceAll("_", " ")}`);
  return `${absolute(bucket.at, zone.value).slice(0, 16)} to ${end}: ${many(sum(bucket), "event")}, ${parts.join(", ")}`;
}
