/** Lengths of the time that the chart shows, in seconds; "all" is as long as decisions are kept. */
export const ZOOMS = { hour: 3600, day: 86_400, week: 604_800, month: 2_592_000, all: 0 } as const;
export type Zoom = keyof typeof ZOOMS;

export function zoomOf(text: string): Zoom {
  return text in ZOOMS ? (text as Zoom) : "day";
}

/** A time from `since` to `until`, in epoch milliseconds. `live`: it ends now, and moves on. */
export interface Window {
  since: number;
  until: number;
  live: boolean;
}

/**
 * The time to show: up to now if `at` (epoch milliseconds) is in it or not given, else around `at`. A window in the
 * past moves in steps of a quarter, so that it stands still while one walks from decision to decision.
 */
export function windowOf(zoom: Zoom, at: number | undefined, now: number, kept: number | undefined): Window {
  if (zoom === "all") return { since: Math.min(kept ?? now - ZOOMS.day * 1000, now - 60_000), until: now, live: true };
  const length = ZOOMS[zoom] * 1000;
  if (at === undefined || at >= now - length) return { since: now - length, until: now, live: true };
  const quarter = length / 4;
  const until = Math.ceil((at + quarter) / quarter) * quarter;
  return until >= now ? { since: now - length, until: now, live: true } : { since: until - length, until, live: false };
}
