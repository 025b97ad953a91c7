import type { Tone } from "../parts/basics";

const PHASES: Readonly<Record<string, Tone>> = {
  SUCCEEDED: "good",
  FAILED: "bad",
  ERROR: "bad",
  UNKNOWN: "bad",
  RUNNING: "active",
  SUBMITTED: "active",
};
const BROKEN = new Set(["circuit_open", "quarantined", "bad_parameters", "no_data"]);

export function toneOfPhase(phase: string): Tone {
  return PHASES[phase] ?? "wait";
}

/** A rule that needs somebody is bad; one that fires is good; one that waits for its triggers is idle. */
export function toneOfDecision(decision: string, reason: string): Tone {
  if (BROKEN.has(reason)) return "bad";
  if (decision === "fire") return "good";
  if (decision === "skip") return "wait";
  return reason === "waiting" || reason === "batch_incomplete" || reason === "fresh" ? "idle" : "wait";
}

/** Of a node of a Workflow, whose phases are Argo's words. */
const NODES: Readonly<Record<string, Tone>> = { Succeeded: "good", Failed: "bad", Error: "bad", Running: "active", Pending: "wait" };

export function toneOfNode(phase: string): Tone {
  return NODES[phase] ?? "idle";
}
