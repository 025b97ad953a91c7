import type { Node } from "../api/client";
import { visible } from "../state/text";
import { Tree } from "./tree";

/** The triggers as a tree; the limits in a row below, as each of them alone can hold a run back. */
export function Why({ nodes }: { nodes: readonly Node[] }) {
  const limits = nodes.find((node) => node.name === "limits")?.children ?? [];
  return (
    <>
      <Tree nodes={nodes.filter((node) => node.name !== "limits")} />
      {limits.length > 0 && (
        <ul class="limits" aria-label="Limits">
          {limits.map((limit) => (
            <li key={limit.name}>
              <span class="name">{limit.name}</span>
              <span>{limit.state.replaceAll("_", " ")}</span>
              <span class="muted">{visible(limit.detail)}</span>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
