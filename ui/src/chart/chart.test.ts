import { describe, expect, it } from "vitest";

import { merge, readSince, valueAt, type Series } from "./merge";
import { areaOf, lineOf, scaleOf } from "./paths";
import { windowOf } from "./window";

const HOUR = 3_600_000;
const NOW = Date.parse("2026-11-30T12:00:00Z");
const at = (minute: number) => `2026-11-30T11:${String(minute).padStart(2, "0")}:00.000Z`;
const point = (minute: number, value: number | null) => ({ at: at(minute), value });

const answer = (since: number, until: number, minutes: number[], rest: Partial<Series> = {}): Series => ({
  rule: "r", key: "", since: at(since), until: at(until), pending: [], decisions: [], runs: [],
  kept: { decisions_since: null, events_since: null },
  metrics: [{ trigger: "drift", side: "above", limit: 2, clear: 1, alerts: false, more: 0, read_since: at(since), lines: [{ series: "psi{}", samples: minutes.length, points: minutes.map((minute) => point(minute, minute)) }] }],
  ...rest,
});

describe("the window", () => {
  it("ends now while the moment is in it", () => {
    expect(windowOf("hour", NOW - HOUR / 2, NOW, undefined)).toEqual({ since: NOW - HOUR, until: NOW, live: true });
    expect(windowOf("day", undefined, NOW, undefined).live).toBe(true);
  });
  it("stands around an older moment, and stands still while one walks", () => {
    const first = windowOf("hour", NOW - 5 * HOUR, NOW, undefined);
    expect(first.live).toBe(false);
    expect(first.since).toBeLessThan(NOW - 5 * HOUR);
    expect(first.until).toBeGreaterThan(NOW - 5 * HOUR);
    expect(windowOf("hour", NOW - 5 * HOUR - 60_000, NOW, undefined)).toEqual(first);
    expect(windowOf("hour", NOW - 5 * HOUR + 60_000, NOW, undefined).until).toBe(first.until + HOUR / 4);
  });
  it("shows all that is kept, at least a minute", () => {
    expect(windowOf("all", undefined, NOW, NOW - 90 * 24 * HOUR).since).toBe(NOW - 90 * 24 * HOUR);
    expect(windowOf("all", undefined, NOW, NOW).since).toBe(NOW - 60_000);
  });
});

describe("answers", () => {
  it("are put together without losing or doubling a point", () => {
    const whole = merge(answer(0, 30, [1, 10, 29, 30]), answer(30, 50, [30, 40]), at(30));
    expect(whole.metrics[0]?.lines[0]?.points.map((each) => each.value)).toEqual([1, 10, 29, 30, 40]);
    expect(whole.metrics[0]?.lines[0]?.samples).toBe(6);
    expect([whole.since, whole.until, readSince(whole)]).toEqual([at(0), at(50), at(0)]);
  });
  it("keep the newest form of a run", () => {
    const run = { id: "A", phase: "RUNNING" as const, trigger: "t", reason: "r", attempt: 1, created_at: at(1), started_at: null, ended_at: null };
    const whole = merge(answer(0, 30, [], { runs: [run] }), answer(30, 50, [], { runs: [{ ...run, phase: "FAILED" }] }), at(30));
    expect(whole.runs.map((each) => each.phase)).toEqual(["FAILED"]);
  });
  it("are read at a time by what was last known", () => {
    const points = [point(1, 1), point(2, null), point(3, 3)];
    expect(valueAt(points, at(0))).toBeUndefined();
    expect([1, 2, 3, 59].map((minute) => valueAt(points, at(minute))?.value)).toEqual([1, null, 3, 3]);
  });
});

describe("paths", () => {
  const x = (time: string) => Number(time.slice(14, 16));
  const y = (value: number) => 10 - value;
  it("break where there is no value, and draw a lone value as a short dash", () => {
    expect(lineOf([point(1, 1), point(2, 2), point(3, null), point(4, 4)], x, y)).toBe("M1 9L2 8M4 6m-2 0h4");
  });
  it("are steps down to the ground for amounts", () => {
    expect(areaOf([point(1, 1), point(2, 3), point(2, 0), point(4, 0)], x, y, 10)).toBe("M1 10V9H2V7H2V10H4V10Z");
    expect(areaOf([point(1, 1), point(2, null), point(3, 2), point(4, 2)], x, y, 10)).toBe("M1 10V9H2V10ZM3 10V8H4V8V10Z");
  });
  it("have a scale with the limit in it", () => {
    expect(scaleOf([0.1, 0.3], [0.5])).toEqual([0.1, 0.5]);
    expect(scaleOf([], [2])).toEqual([1, 3]);
    expect(scaleOf([-1e9, 1e9], [])).toEqual([-1e9, 1e9]);
  });
});
