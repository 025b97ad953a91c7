import { expect, it } from "vitest";

import type { Decision } from "../api/client";
import { stripsOf } from "./timeline";

const decision = (id: number, first_at: string): Decision => ({ id, first_at, last_at: first_at, rule: "r", key: "", decision: "hold", reason: "cooldown", detail: "", count: 1, until: null, run: null });

it("lets each decision last until the next one, and the latest until now", () => {
  const end = Date.parse("2026-01-01T00:03:00Z");
  const strips = stripsOf([decision(2, "2026-01-01T00:02:00Z"), decision(1, "2026-01-01T00:00:00Z")], end);
  expect(strips.map((strip) => (strip.to - strip.from) / 1000)).toEqual([60, 120]);
});
