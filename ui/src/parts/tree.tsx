import type { Measured, Node } from "../api/client";
import { bytes, number } from "../state/numbers";
import { visible } from "../state/text";
import { span } from "../state/time";
import { State, type Tone } from "./basics";

const TONES: Readonly<Record<string, Tone>> = {
  satisfied: "good", raised: "good", crossed: "wait", no_data: "bad", resting: "wait", spent: "wait", muted: "wait",
  "not kept": "wait", open: "bad", paused: "wait", holding: "wait", unknown: "bad", quarantined: "bad",
};

/** The tree that the engine explains a rule with; each measured leaf has its distance from the limit as bar and text. */
export function Tree({ nodes }: { nodes: readonly Node[] }) {
  return (
    <div class="tree">
      <Branch nodes={nodes} />
    </div>
  );
}

/** A node's state: a word with its shape, or a number as it is. */
function Word({ state }: { state: string }) {
  if (/^\d+$/.test(state)) return <span>{number(Number(state))}</span>;
  return <State tone={TONES[state] ?? "idle"}>{state.replaceAll("_", " ")}</State>;
}

function Branch({ nodes }: { nodes: readonly Node[] }) {
  return (
    <ul>
      {nodes.map((node, index) => (
        <li key={`${index} ${node.name}`}>
          <div class="row">
            <span class="what">
              <strong>{visible(node.name)}</strong> <span class="muted">{visible(node.detail)}</span>
            </span>
            {node.state !== "" && !(node.measure && /^\d+$/.test(node.state)) && <Word state={node.state} />}
            {node.measure && <Measure measure={node.measure} />}
          </div>
          {node.children.length > 0 && <Branch nodes={node.children} />}
        </li>
      ))}
    </ul>
  );
}

/** The share of the limit that is reached, from 0 to 1, and whether it is reached. */
export function reached({ value, limit, side }: Measured): { share: number; done: boolean } {
  if (side === "below") {
    const done = value < limit;
    return { share: done ? 1 : limit > 0 && value > 0 ? limit / value : 0, done };
  }
  const done = side === "above" ? value > limit : value >= limit;
  return { share: done ? 1 : limit > 0 ? Math.max(0, value / limit) : 0, done };
}

export function quantity(value: number, unit: string): string {
  if (unit === "bytes") return bytes(value);
  if (unit === "seconds") return span(value);
  return number(value);
}

/** The value, the limit and what lies between, as a sentence. */
export function distance(measure: Measured): string {
  const { value, limit, side, unit, clear } = measure;
  const sign = side === "above" ? ">" : side === "below" ? "<" : "of";
  const left = Math.abs(limit - value);
  const named = unit === "" || unit === "bytes" || unit === "seconds" ? "" : ` ${unit}`;
  const gap = reached(measure).done ? "reached" : `${quantity(left, unit)}${left === 1 ? named.replace(/s$/, "") : named} to go`;
  const clears = clear !== null && clear !== limit ? `, clears at ${quantity(clear, unit)}` : "";
  return `${quantity(value, unit)} ${sign} ${quantity(limit, unit)}${named}: ${gap}${clears}`;
}

function Measure({ measure }: { measure: Measured }) {
  const { share, done } = reached(measure);
  return (
    <div class="measure">
      <div class="bar-of" aria-hidden="true">
        <svg viewBox="0 0 100 8" preserveAspectRatio="none">
          <rect class={done ? "fill reached" : "fill"} width={share * 100} height="8" />
        </svg>
      </div>
      <span>{distance(measure)}</span>
    </div>
  );
}
