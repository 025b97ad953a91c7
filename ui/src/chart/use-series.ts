import { useEffect, useRef, useState } from "preact/hooks";

import { get, Problem } from "../api/client";
import { useParameter } from "../state/address";
import { useConcerned } from "../state/concerned";
import { useQuery } from "../state/query";
import { merge, readSince, type Series } from "./merge";
import { windowOf, zoomOf, type Window, type Zoom } from "./window";

/** Milliseconds between two questions of a chart that ends now: it is a thousandth of its width or less. */
const REST = 3000;
/** Answers that are put together for one time; each reads some thousands of values further back. */
const MOST_ANSWERS = 40;

export interface Charted {
  data: Series | undefined;
  window: Window;
  problem: Problem | undefined;
  /** Earlier values are still being read. */
  reading: boolean;
}

/** The chart's part of the past of a rule and key, as the address says: `zoom`, and around `at` if it is a time. */
export function usePast(rule: string, key: string, given: string): Charted & { at: string } {
  const zoom = zoomOf(useParameter("zoom")[0]);
  const time = Date.parse(given);
  const at = Number.isNaN(time) ? "" : given;
  const kept = useQuery(`kept ${zoom === "all"} ${rule} ${key}`, async (signal) => {
    if (zoom !== "all") return "";
    const since = new Date().toISOString();
    return (await get("/api/v1/rules/{rule}/series", { path: { rule }, query: { key, since }, signal })).kept.decisions_since ?? "";
  }).data;
  return { ...useSeries(rule, key, zoom, at === "" ? undefined : time, kept ? Date.parse(kept) : undefined), at };
}

/** What the chart of a rule shows. A time that ends now is asked for again when something changed, from where it ended. */
function useSeries(rule: string, key: string, zoom: Zoom, at: number | undefined, kept: number | undefined): Charted {
  const window = windowOf(zoom, at, Date.now(), kept);
  const latest = useRef({ rule, key, window });
  latest.current = { rule, key, window };
  const name = `${rule} ${key} ${zoom} ${window.live ? `now ${zoom === "all" ? kept : ""}` : window.until}`;
  const [answer, setAnswer] = useState<{ name: string; data?: Series; problem?: Problem; reading: boolean }>({ name, reading: true });
  const known = useRef<{ name: string; data: Series } | undefined>(undefined);
  const version = useConcerned({ rules: [rule] });
  const asked = useRef(0);

  useEffect(() => {
    const { rule, key, window } = latest.current;
    const request = new AbortController();
    const ask = (since: string, until?: string) =>
      get("/api/v1/rules/{rule}/series", { path: { rule }, query: { key, since, ...(until === undefined ? {} : { until }) }, signal: request.signal });
    const show = (data: Series, reading: boolean) => {
      known.current = { name, data };
      if (!request.signal.aborted) setAnswer({ name, data, reading });
    };
    const read = async () => {
      asked.current = Date.now();
      const before = known.current?.name === name ? known.current.data : undefined;
      if (before !== undefined) {
        if (window.live) show(merge(before, await ask(before.until), before.until), false);
        return;
      }
      const since = new Date(window.since).toISOString();
      let whole = await ask(since, window.live ? undefined : new Date(window.until).toISOString());
      for (let count = 1; count < MOST_ANSWERS && readSince(whole) > whole.since; count += 1) {
        show(whole, true);
        const cut = readSince(whole);
        whole = merge(await ask(since, cut), whole, cut);
      }
      show(whole, false);
    };
    const later = known.current?.name === name ? Math.max(0, asked.current + REST - Date.now()) : 0;
    const timer = setTimeout(() => {
      read().catch((error: unknown) => {
        if (request.signal.aborted) return;
        const problem = error instanceof Problem ? error : new Problem(0, String(error));
        setAnswer((last) => (last.name === name ? { ...last, problem, reading: false } : { name, problem, reading: false }));
      });
    }, later);
    return () => {
      clearTimeout(timer);
      request.abort();
    };
  }, [name, version]);

  const current = answer.name === name;
  return { data: current ? answer.data : undefined, problem: current ? answer.problem : undefined, reading: !current || answer.reading, window };
}
