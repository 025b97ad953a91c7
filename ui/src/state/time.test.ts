import { describe, expect, it } from "vitest";

import { absolute, brief, isTime, relative, span } from "./time";

describe("span", () => {
  it.each([
    [0, "0s"],
    [59.4, "59s"],
    [90, "1m 30s"],
    [3600, "1h"],
    [3661, "1h 1m"],
    [90_061, "1d 1h"],
    [-120, "2m"],
  ])("shows %d seconds as %s", (seconds, shown) => {
    expect(span(seconds)).toBe(shown);
  });
});

describe("times", () => {
  const now = Date.parse("2026-11-30T12:00:00Z");
  it("are relative in both directions", () => {
    expect(relative("2026-11-30T11:55:00Z", now)).toBe("5m ago");
    expect(relative("2026-12-01T12:00:00Z", now)).toBe("in 1d");
    expect(relative("2026-11-30T12:00:00.4Z", now)).toBe("now");
  });
  it("have their date unless they are of the same day", () => {
    expect(absolute("2026-11-30T23:30:00Z", "UTC")).toBe("2026-11-30 23:30:00");
    expect(brief("2026-11-30T23:30:00Z", "UTC", now)).toBe("23:30:00");
    expect(brief("2026-11-29T23:30:00Z", "UTC", now)).toBe("2026-11-29 23:30");
  });
});

it.each([
  ["2026-11-30T08:00:00Z", true],
  ["2026-11-30T08:00:00.125+05:45", true],
  ["2026-11-30T08:00:00", false],
  ["2026-13-30T08:00:00Z", false],
  ["NaN", false],
  ["", false],
])("knows whether %j is a time", (given, known) => {
  expect(isTime(given)).toBe(known);
});
