import { absolute } from "./time";
import type { Zone } from "./zone";

/** A moment as a field for date and time takes it, in the zone: "2026-11-30T14:05". Empty if it is none. */
export function toField(at: string, zone: Zone): string {
  return Number.isNaN(Date.parse(at)) ? "" : absolute(at, zone).replace(" ", "T").slice(0, 16);
}

/** What was filled in, in the zone, as a moment in UTC. Empty if it is none. */
export function fromField(text: string, zone: Zone): string {
  const at = new Date(zone === "UTC" ? `${text}Z` : text);
  return Number.isNaN(at.getTime()) ? "" : at.toISOString();
}
