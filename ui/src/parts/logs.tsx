import { useEffect, useRef, useState } from "preact/hooks";

import { get } from "../api/client";
import { useQuery } from "../state/query";
import { visible } from "../state/text";
import { Missing, Stale } from "./basics";

/** Seconds between two reads of what a run writes. */
const EVERY = 3;
const TAILS = ["200", "1000", "10000"] as const;

/** What the steps of a run wrote. While it runs it is read again, and its end stays in view. */
export function Logs({ run, runs, submitted }: { run: string; runs: boolean; submitted: boolean }) {
  const [follow, setFollow] = useState(true);
  const [tail, setTail] = useState<string>(TAILS[0]);
  const text = useRef<HTMLPreElement>(null);
  const follows = follow && runs;
  const found = useQuery(
    `logs ${run} ${tail} ${submitted}`,
    (signal) => (submitted ? get("/api/v1/runs/{run}/logs", { path: { run }, query: { tail: Number(tail) }, signal }) : Promise.resolve("")),
    follows ? EVERY : undefined,
    { runs: [run] },
  );
  useEffect(() => {
    if (follows && text.current) text.current.scrollTop = text.current.scrollHeight;
  }, [found.data, follows]);
  if (!submitted) return <p class="muted">There is no log: the run has no Workflow yet.</p>;
  return (
    <div class="stack">
      <div class="acts">
        <label>Last lines of each step <select value={tail} onChange={(event) => { setTail(event.currentTarget.value); }}>{TAILS.map((each) => <option key={each} value={each}>{each}</option>)}</select></label>
        {runs && <label class="check"><input type="checkbox" checked={follow} onChange={(event) => { setFollow(event.currentTarget.checked); }} /> Follow</label>}
      </div>
      <Stale problem={found.data === undefined ? undefined : found.problem} />
      {found.data === undefined ? <Missing problem={found.problem} what="the logs" /> : <pre class="text" ref={text} tabIndex={0} aria-label="What the steps wrote">{visible(found.data)}</pre>}
    </div>
  );
}
