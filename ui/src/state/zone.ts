import { signal } from "@preact/signals";

/** The zone in which times are shown: UTC, or that of the browser. The address says which, so that a link shows the same. */
export type Zone = "UTC" | "local";

export const zone = signal<Zone>(new URLSearchParams(location.search).get("zone") === "local" ? "local" : "UTC");

export function zoneName(shown: Zone): string {
  return shown === "UTC" ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone;
}
