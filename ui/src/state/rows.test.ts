import { expect, it } from "vitest";

import { distinct, hasMoved, partsIn, renewed } from "./rows";

interface Row { name: string; verdict: string }
const name = (row: Row) => row.name;
const rows = (...names: string[]): Row[] => names.map((each) => ({ name: each, verdict: "old" }));
const part = (cursor: string | undefined, ...names: string[]) => ({ cursor, items: rows(...names), next: "more" });

it("finds the parts whose rows are in sight", () => {
  const parts = [part(undefined, "a", "b"), part("1", "c", "d"), part("2", "e")];
  const found = (first: number, last: number) => partsIn(parts, first, last).map((each) => each.cursor);
  expect(found(0, 0)).toEqual([undefined]);
  expect(found(1, 2)).toEqual([undefined, "1"]);
  expect(found(2, 3)).toEqual(["1"]);
  expect(found(4, 9)).toEqual(["2"]);
});

it("renews rows in their place, whatever their new order is", () => {
  const now = { items: [{ name: "c", verdict: "new" }, { name: "a", verdict: "new" }], next: null };
  expect(renewed(part(undefined, "a", "b"), now, name).items).toEqual([{ name: "a", verdict: "new" }, { name: "b", verdict: "old" }]);
});

it("notices another order, and other rows", () => {
  const before = part(undefined, "a", "b");
  expect(hasMoved(before, { items: rows("a", "b"), next: null }, name)).toBe(false);
  expect(hasMoved(before, { items: rows("b", "a"), next: null }, name)).toBe(true);
  expect(hasMoved(before, { items: rows("a"), next: null }, name)).toBe(true);
});

it("shows a row of two parts once, in its first place", () => {
  expect(distinct([part(undefined, "a", "b"), part("1", "b", "c")], name).map(name)).toEqual(["a", "b", "c"]);
});
