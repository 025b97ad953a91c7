import { expect, it } from "vitest";

import { fromField, toField } from "./moments";

it("fields of moments are in the zone and back again", () => {
  expect(toField("2026-11-30T14:05:09Z", "UTC")).toBe("2026-11-30T14:05");
  expect(fromField("2026-11-30T14:05", "UTC")).toBe("2026-11-30T14:05:00.000Z");
  expect(fromField(toField("2026-11-30T14:05:00.000Z", "local"), "local")).toBe("2026-11-30T14:05:00.000Z");
});

it("what is no moment is empty", () => {
  expect(toField("soon", "UTC")).toBe("");
  expect(fromField("", "UTC")).toBe("");
});
