import type { Zone } from "./zone";

const UNITS: readonly (readonly [number, string])[] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "m"],
  [1, "s"],
];

/** Seconds as a length with at most two units: 90 as "1m 30s". */
export function span(seconds: number): string {
  let left = Math.round(Math.abs(seconds));
  const parts: string[] = [];
  for (const [size, unit] of UNITS) {
    const count = Math.floor(left / size);
    if (count === 0 && parts.length === 0) continue;
    if (count > 0) parts.push(`${count}${unit}`);
    left -= count * size;
    if (parts.length === 2 || left === 0) break;
  }
  return parts.join(" ") || "0s";
}

/** Whether a text is a time that the API takes: RFC 3339 with a zone. */
export function isTime(text: string): boolean {
  return /^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text));
}

/** A time relative to now: "in 5m", "3h ago". */
export function relative(at: string | number, now: number): string {
  const seconds = (new Date(at).getTime() - now) / 1000;
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `in ${span(seconds)}` : `${span(seconds)} ago`;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: Zone, dateShown: boolean): Intl.DateTimeFormat {
  const name = `${zone} ${dateShown}`;
  let found = formats.get(name);
  if (found === undefined) {
    found = new Intl.DateTimeFormat("sv-SE", {
      ...(dateShown ? { year: "numeric", month: "2-digit", day: "2-digit" } : {}),
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      ...(zone === "UTC" ? { timeZone: "UTC" } : {}),
    });
    formats.set(name, found);
  }
  return found;
}

/** Date and time to the second, in the zone: "2026-11-30 14:05:09". */
export function absolute(at: string | number, zone: Zone): string {
  return format(zone, true).format(new Date(at));
}

/** The time alone if it is of the same day as `now`, else with its date. */
export function brief(at: string | number, zone: Zone, now: number): string {
  const text = absolute(at, zone);
  return text.slice(0, 10) === absolute(now, zone).slice(0, 10) ? text.slice(11) : text.slice(0, 16);
}
