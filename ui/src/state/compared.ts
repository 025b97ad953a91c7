import { root, type RunDetail } from "../api/client";
import { bytes, number } from "./numbers";
import { span } from "./time";

/** Runs that are compared at most. */
export const MOST = 6;

/** One fact of several runs, in their order. Empty where a run does not have it. */
export interface Row {
  name: string;
  values: readonly string[];
  differs: boolean;
}

/** The address on which runs are compared. */
export function compared(runs: readonly string[]): string {
  return `${root}/ui/runs/compare?${new URLSearchParams(runs.map((run) => ["run", run])).toString()}`;
}

/** The runs that an address names, each once. */
export function runsOf(address: string): string[] {
  return [...new Set(new URLSearchParams(address.split("?")[1] ?? "").getAll("run"))].filter((run) => run !== "");
}

/** Rows under a heading: what each run has of it, and whether they differ. */
export function sections(runs: readonly RunDetail[]): readonly (readonly [string, readonly Row[]])[] {
  const row = (name: string, of: (run: RunDetail) => string): Row => marked(name, runs.map(of));
  return [
    ["Run", [
      row("Rule", (run) => run.rule),
      row("Key", (run) => run.key),
      row("Phase", (run) => run.phase),
      row("Message", (run) => run.message),
      row("Trigger", (run) => run.trigger),
      row("Reason", (run) => run.reason.replaceAll("_", " ")),
      row("Revision of the rule", (run) => run.revision),
      row("Attempt", (run) => String(run.attempt)),
    ]],
    ["Inputs", [
      row("Events", (run) => number(run.window.events)),
      row("Size", (run) => (run.window.bytes > 0 ? bytes(run.window.bytes) : "")),
      row("Rows", (run) => (run.window.rows > 0 ? number(run.window.rows) : "")),
      row("First event", (run) => run.window.start ?? ""),
      row("Last event", (run) => run.window.end ?? ""),
    ]],
    ["Cost", [
      row("Waited", (run) => between(run.created_at, run.submitted_at)),
      row("Ran", (run) => between(run.started_at, run.ended_at)),
      row("GPU hours", (run) => (run.gpu_hours === null ? "" : number(run.gpu_hours))),
      ...named(runs, (run) => run.resources, (value) => number(value)).map((each) => ({ ...each, name: `Seconds of ${each.name}` })),
    ]],
    ["Parameters", named(runs, (run) => run.parameters, (value) => value)],
    ["Outputs", [...named(runs, (run) => run.outputs, (value) => (typeof value === "string" ? value : JSON.stringify(value))), row("Promoted", (run) => (run.promoted === null ? "" : run.promoted ? "yes" : "no"))]],
  ];
}

function named<T>(runs: readonly RunDetail[], of: (run: RunDetail) => Readonly<Record<string, T>>, text: (value: T) => string): Row[] {
  const names = [...new Set(runs.flatMap((run) => Object.keys(of(run))))].sort();
  return names.map((name) => marked(name, runs.map((run) => {
    const value = Object.entries(of(run)).find(([each]) => each === name);
    return value === undefined ? "" : text(value[1]);
  })));
}

function marked(name: string, values: readonly string[]): Row {
  return { name, values, differs: new Set(values).size > 1 };
}

function between(from: string | null, to: string | null): string {
  return from === null || to === null ? "" : span((Date.parse(to) - Date.parse(from)) / 1000);
}
