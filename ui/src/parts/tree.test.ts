import { expect, it } from "vitest";

import type { Measured } from "../api/client";
import { distance, reached } from "./tree";

const measure = (value: number, limit: number, rest: Partial<Measured> = {}): Measured => ({ value, limit, side: "at_least", unit: "", clear: null, ...rest });

it.each([
  ["half a batch", measure(800, 1600, { unit: "rows" }), 0.5, "800 of 1,600 rows: 800 rows to go"],
  ["the last of a batch", measure(2, 3, { unit: "events" }), 2 / 3, "2 of 3 events: 1 event to go"],
  ["a full batch", measure(1600, 1600, { unit: "rows" }), 1, "1,600 of 1,600 rows: reached"],
  ["a value at its threshold has not crossed it", measure(0.2, 0.2, { side: "above" }), 1, "0.2 > 0.2: 0 to go"],
  ["a value that crossed and clears lower", measure(0.31, 0.2, { side: "above", clear: 0.1 }), 1, "0.31 > 0.2: reached, clears at 0.1"],
  ["a value that must fall", measure(0.9, 0.45, { side: "below" }), 0.5, "0.9 < 0.45: 0.45 to go"],
  ["a negative value", measure(-3, 2, { side: "above" }), 0, "-3 > 2: 5 to go"],
  ["an age", measure(3600, 86_400, { unit: "seconds" }), 1 / 24, "1h of 1d: 23h to go"],
  ["a size", measure(512, 1024, { unit: "bytes" }), 0.5, "512 B of 1 KiB: 512 B to go"],
])("shows %s", (_, given, share, text) => {
  expect(reached(given).share).toBeCloseTo(share);
  expect(distance(given)).toBe(text);
});
