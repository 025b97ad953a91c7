import { absolute } from "./time";
import type { Zone } from "./zone";

/** Entries by their day in the zone, in the order of the entries. */
export function byDay<T extends { at: string }>(entries: readonly T[], zone: Zone): [string, T[]][] {
  const days = new Map<string, T[]>();
  for (const entry of entries) {
    const day = absolute(entry.at, zone).slice(0, 10);
    const rows = days.get(day);
    if (rows === undefined) days.set(day, [entry]);
    else rows.push(entry);
  }
  return [...days];
}
