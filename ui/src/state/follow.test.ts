import { describe, expect, it } from "vitest";

import { follow } from "./follow";

const id = (row: string) => row[0] ?? "";

describe("rows after their first page was asked for again", () => {
  it.each([
    ["nothing is new", "abc", "abc", "next", { rows: "abc", kept: "abc", fresh: 0, moves: false }],
    ["two are new", "abc", "xya", "next", { rows: "xyabc", kept: "abc", fresh: 2, moves: true }],
    ["one is gone and another was pulled in", "abc", "acd", "next", { rows: "acd", kept: "ac", fresh: 0, moves: false }],
    ["the whole list has one less", "abc", "ac", null, { rows: "ac", kept: "ac", fresh: 0, moves: false }],
    ["the whole list has one less at its end", "abc", "ab", null, { rows: "ab", kept: "ab", fresh: 0, moves: false }],
    ["later pages stay below", "abcdef", "xab", "next", { rows: "xabcdef", kept: "abcdef", fresh: 1, moves: true }],
    ["the order changed", "abc", "cab", "next", { rows: "cab", kept: "abc", fresh: 0, moves: true }],
    ["all are new", "abc", "xyz", "next", { rows: "xyzabc", kept: "abc", fresh: 3, moves: true }],
    ["the first one", "", "a", null, { rows: "a", kept: "", fresh: 1, moves: false }],
  ])("%s", (_, shown, items, next, expected) => {
    const { rows, kept, fresh, moves } = follow(shown.split(""), { items: items.split(""), next }, id);
    expect({ rows: rows.join(""), kept: kept.join(""), fresh, moves }).toEqual(expected);
  });

  it("have their new content in their old places", () => {
    const { kept } = follow(["a1", "b1"], { items: ["x1", "a2", "b2"], next: "n" }, id);
    expect(kept).toEqual(["a2", "b2"]);
  });
});
