import { describe, expect, it } from "vitest";

import { EVERYTHING, Hints, type Depends } from "./hints";

const NOTHING = { rules: [], runs: [], events: false, everything: false };

describe("hints", () => {
  it.each<[string, Partial<typeof EVERYTHING>, Depends | undefined, boolean]>([
    ["a rule concerns what shows it", { rules: ["churn"] }, { rules: ["churn"] }, true],
    ["a rule does not concern what shows another", { rules: ["churn"] }, { rules: ["fraud"] }, false],
    ["a run concerns what shows it", { runs: ["1"] }, { rules: ["fraud"], runs: ["1"] }, true],
    ["events concern what shows events", { events: true }, { events: true }, true],
    ["events do not concern a rule", { events: true }, { rules: ["churn"] }, false],
    ["what names nothing is concerned by everything only", { rules: ["churn"], events: true }, {}, false],
    ["everything concerns all", { everything: true }, {}, true],
    ["what depends on everything is concerned by all", { rules: ["churn"] }, undefined, true],
  ])("%s", (_, hint, of, concerned) => {
    const hints = new Hints();
    hints.add({ ...NOTHING, ...hint });
    expect(hints.concern(0, of)).toBe(concerned);
  });

  it("that came together all count, and those that were seen do not", () => {
    const hints = new Hints();
    const seen = hints.add({ ...NOTHING, rules: ["churn"] });
    hints.add({ ...NOTHING, rules: ["fraud"] });
    hints.add({ ...NOTHING, rules: ["other"] });
    expect(hints.concern(seen, { rules: ["fraud"] })).toBe(true);
    expect(hints.concern(seen, { rules: ["churn"] })).toBe(false);
    expect(hints.concern(3, undefined)).toBe(false);
  });

  it("that were missed concern all", () => {
    const hints = new Hints();
    for (let count = 0; count < 60; count += 1) hints.add({ ...NOTHING, rules: ["churn"] });
    expect(hints.concern(0, { rules: ["fraud"] })).toBe(true);
    expect(hints.concern(20, { rules: ["fraud"] })).toBe(false);
  });
});
