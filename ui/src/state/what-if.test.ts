import { expect, test } from "vitest";

import { amount, asked, label, read, text, written, type Field } from "./what-if";

const field = (unit: Field["unit"]): Field => ({ path: "a", unit, value: 1, written: "1", least: 0, most: 4, about: "", given: true });

test.each([
  [{}],
  [{ "triggers.drift.metric.above": "0.25", "limits.cooldown.period": "1d12h" }],
  [{ "limits.x": "a;b=c %" }],
])("changes %o are the same after a way through the address", (changes) => {
  expect(read(written(changes))).toEqual(changes);
});

test("an address that nobody wrote has no changes", () => {
  expect(read(";;=;a")).toEqual({});
  expect(read("a=%")).toEqual({ a: "%" });
});

test("numbers are sent as numbers, durations as written", () => {
  const fields = [{ ...field("number"), path: "above" }, { ...field("seconds"), path: "period" }];
  expect(asked({ above: "0.25", period: "12h", other: "3" }, fields)).toEqual({ above: 0.25, period: "12h", other: "3" });
});

test.each([
  ["1d12h", "seconds", 129_600],
  ["250ms", "seconds", 0.25],
  ["12", "seconds", undefined],
  ["500MiB", "bytes", 524_288_000],
  ["0.25", "number", 0.25],
  ["", "number", undefined],
] as const)("%s in %s is %s", (given, unit, expected) => {
  expect(amount(given, unit)).toBe(expected);
});

test.each([
  [129_600, "seconds", "1d12h"],
  [0, "seconds", "0s"],
  [86_500, "seconds", "1d"],
  [0.2512, "number", "0.251"],
  [12.4, "count", "12"],
  [524_288_000, "bytes", "500MiB"],
] as const)("%s %s are written %s", (value, unit, expected) => {
  expect(text(value, field(unit))).toBe(expected);
});

test.each([
  ["triggers.drift.metric.above", "drift: above"],
  ["triggers.files.data.batch.at_least.events", "files: at least events"],
  ["limits.cooldown.period", "cooldown period"],
])("%s reads %s", (path, expected) => {
  expect(label(path)).toBe(expected);
});
