import type { Schemas } from "../api/client";

type Point = Schemas["Point"];
type X = (at: string) => number;
type Y = (value: number) => number;

const round = (value: number): number => Math.round(value * 10) / 10;

/** A dash of four pixels, from the middle. */
const DOT = "m-2 0h4";

/** A line through the points. It breaks where there is no value; a value alone is a short dash. */
export function lineOf(points: readonly Point[], x: X, y: Y): string {
  let path = "";
  let run = 0;
  for (const point of points) {
    if (point.value === null) {
      path += run === 1 ? DOT : "";
      run = 0;
      continue;
    }
    path += `${run === 0 ? "M" : "L"}${round(x(point.at))} ${round(y(point.value))}`;
    run += 1;
  }
  return path + (run === 1 ? DOT : "");
}

/** The area under amounts of which each lasts until the following point. */
export function areaOf(points: readonly Point[], x: X, y: Y, ground: number): string {
  let path = "";
  let open = false;
  for (const point of points) {
    const place = round(x(point.at));
    if (point.value === null) {
      path += open ? `H${place}V${ground}Z` : "";
      open = false;
      continue;
    }
    path += open ? `H${place}V${round(y(point.value))}` : `M${place} ${ground}V${round(y(point.value))}`;
    open = true;
  }
  return path + (open ? (path.endsWith(`V${ground}`) ? "Z" : `V${ground}Z`) : "");
}

/** The lowest and the highest value to draw, with the limits in between; never the same. */
export function scaleOf(values: readonly number[], limits: readonly number[]): [number, number] {
  const all = [...values, ...limits];
  const low = all.reduce((least, value) => Math.min(least, value), Infinity);
  const high = all.reduce((most, value) => Math.max(most, value), -Infinity);
  if (!Number.isFinite(low)) return [0, 1];
  return low === high ? [low - 1, high + 1] : [low, high];
}

/** Rectangles of one row as one path: from and to in pixels, at least one pixel wide. */
export function barsOf(spans: readonly (readonly [number, number])[], top: number, height: number): string {
  return spans.map(([from, to]) => `M${round(from)} ${top}h${round(Math.max(1.5, to - from))}v${height}h${round(-Math.max(1.5, to - from))}Z`).join("");
}
