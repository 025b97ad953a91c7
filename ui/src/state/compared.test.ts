import { expect, test } from "vitest";

import type { RunDetail } from "../api/client";
import { runsOf, sections } from "./compared";

function run(parameters: Record<string, string>, outputs: Record<string, unknown>, phase = "SUCCEEDED"): RunDetail {
  return {
    rule: "churn", key: "", phase, message: "", trigger: "files", reason: "batch_complete", revision: "abc", attempt: 1, parameters, outputs,
    window: { events: 3, bytes: 2048, rows: 0, start: null, end: null }, resources: {}, promoted: null, gpu_hours: null,
    created_at: "2026-11-30T10:00:00Z", submitted_at: "2026-11-30T10:00:01Z", started_at: "2026-11-30T10:00:02Z", ended_at: "2026-11-30T10:01:02Z",
  } as unknown as RunDetail;
}

test("a value that only one run has, or that is another one, differs", () => {
  const found = new Map(sections([run({ epochs: "3", lr: "1" }, { auc: 0.9 }), run({ epochs: "3" }, { auc: 0.8 }, "FAILED")]).map(([name, rows]) => [name, rows]));
  expect(found.get("Parameters")).toEqual([
    { name: "epochs", values: ["3", "3"], differs: false },
    { name: "lr", values: ["1", ""], differs: true },
  ]);
  expect(found.get("Outputs")?.[0]).toEqual({ name: "auc", values: ["0.9", "0.8"], differs: true });
  expect(found.get("Run")?.find(({ name }) => name === "Phase")?.differs).toBe(true);
  expect(found.get("Cost")?.find(({ name }) => name === "Ran")?.values).toEqual(["1m", "1m"]);
  expect(found.get("Inputs")?.find(({ name }) => name === "Size")?.values).toEqual(["2 KiB", "2 KiB"]);
});

test("a name that objects have anyway is no value", () => {
  const parameters = found([run({ constructor: "x" }, {}), run({}, {})]);
  expect(parameters).toEqual([{ name: "constructor", values: ["x", ""], differs: true }]);
});

test("each run of an address is compared once", () => {
  expect(runsOf("/ui/runs/compare?run=A&run=B&run=A&run=")).toEqual(["A", "B"]);
  expect(runsOf("/ui/runs/compare")).toEqual([]);
});

function found(runs: readonly RunDetail[]) {
  return sections(runs).find(([name]) => name === "Parameters")?.[1];
}
