import { diff, folded } from "../state/diff";
import { many } from "../state/numbers";
import { visible } from "../state/text";

/** A text with the numbers that its lines have in their file. */
export function Lines({ text, first, label }: { text: string; first: number; label: string }) {
  return (
    <ol class="lines" aria-label={label} tabIndex={0}>
      {text.replace(/\n$/, "").split("\n").map((line, at) => (
        <li key={at} value={first + at}><code>{visible(line)}</code></li>
      ))}
    </ol>
  );
}

const SIGNS = { same: " ", gone: "−", new: "+" };

/** How two texts differ; long stretches without a change are folded. */
export function Difference({ before, after, label }: { before: string; after: string; label: string }) {
  const lines = diff(before, after);
  if (lines.every((line) => line.kind === "same")) return <p class="muted">The texts are the same.</p>;
  return (
    <div class="difference" role="region" aria-label={label} tabIndex={0}>
      {folded(lines).map((line, at) =>
        typeof line === "number" ? (
          <div key={at} class="muted">{many(line, "more line")} as before</div>
        ) : (
          <div key={at} class={line.kind}><span aria-hidden="true">{SIGNS[line.kind]} </span><span class="hidden">{line.kind === "same" ? "" : `${line.kind}: `}</span>{visible(line.text)}</div>
        ),
      )}
    </div>
  );
}
