import { expect, it } from "vitest";

import { byDay } from "./days";

it("groups by the day of the zone, in order", () => {
  const entries = ["2027-03-27T23:59:59Z", "2027-03-28T00:00:00Z", "2027-03-28T01:00:00Z"].map((at) => ({ at }));
  expect(byDay(entries, "UTC").map(([day, rows]) => [day, rows.length])).toEqual([["2027-03-27", 1], ["2027-03-28", 2]]);
});
