import { describe, expect, it } from "vitest";

import { diff, folded } from "./diff";

const MARKS = { same: " ", gone: "-", new: "+" };

function shown(before: string, after: string): string[] {
  return diff(before, after).map((line) => MARKS[line.kind] + line.text);
}

describe("diff", () => {
  it("keeps what is equal, and shows what is gone before what is new", () => {
    expect(shown("a\nb\nc\n", "a\nB\nc\n")).toEqual([" a", "-b", "+B", " c"]);
  });
  it("finds lines that moved past others", () => {
    expect(shown("a\nb\nc\nd\n", "b\nc\nx\nd\n")).toEqual(["-a", " b", " c", "+x", " d"]);
  });
  it("compares with nothing", () => {
    expect(shown("", "a\n")).toEqual(["+a"]);
    expect(shown("a", "")).toEqual(["-a"]);
    expect(shown("a\n", "a")).toEqual([" a"]);
  });
  it("gives both texts back, whatever they are", () => {
    const a = "x\ny\nx\nz\nx".repeat(7);
    const b = "y\nx\nx\nq\nz\n".repeat(6);
    const lines = diff(a, b);
    expect(lines.filter((line) => line.kind !== "new").map((line) => line.text).join("\n")).toBe(a);
    expect(`${lines.filter((line) => line.kind !== "gone").map((line) => line.text).join("\n")}\n`).toBe(b);
  });
  it("takes no time for long texts without a common line", () => {
    const long = (word: string) => Array.from({ length: 20_000 }, (_, at) => `${word}${at}`).join("\n");
    expect(diff(long("a"), long("b"))).toHaveLength(40_000);
  });
});

it("folds what is far from a change", () => {
  const before = Array.from({ length: 20 }, (_, at) => `l${at}`).join("\n");
  const lines = folded(diff(before, before.replace("l10", "L")));
  expect(lines[0]).toBe(7);
  expect(lines.at(-1)).toBe(6);
  expect(lines).toHaveLength(2 + 8);
});
