import type { ComponentChildren } from "preact";

import { post, Problem, type Schemas } from "../api/client";
import { Act, type Done } from "./act";
import { many, number } from "../state/numbers";
import { visible } from "../state/text";

type Answer = Schemas["RuleAnswer"];
type Verb = Schemas["ManyRulesRequest"]["act"];
type Result = Answer["result"];

/** Rules of one request. */
const MOST = 500;
/** Answers that a dialog lists. */
const LISTED = 100;

const TEXTS: Readonly<Record<Verb, { button: string; what: string; done: string }>> = {
  pause: { button: "Pause …", what: "No run of these rules starts until they are resumed. Their schedules and data are still recorded.", done: "paused" },
  resume: { button: "Resume …", what: "Ends manual pauses, and closes the circuit breakers of all keys. What is due then fires.", done: "resumed" },
  trigger: { button: "Trigger …", what: "Starts a manual run of each rule. Manual runs are subject to overlap, budget and pool. If one of these blocks a run, it waits.", done: "triggered" },
};
/** In the order in which they are shown: what is refused is not to be overlooked. */
const RESULTS: readonly Result[] = ["refused", "waits", "done", "unchanged"];

/** A button and dialog that pauses, resumes or triggers many rules, with what would become of each. */
export function ActOnRules({ act, rules }: { act: Verb; rules: readonly string[] }) {
  const { button, what } = TEXTS[act];
  return (
    <Act
      button={button}
      disabled={rules.length === 0}
      title={`${act[0]?.toUpperCase() ?? ""}${act.slice(1)} ${many(rules.length, "rule")}`}
      repeats
      what={what}
      fields={act === "pause" ? [{ name: "note", label: "Reason, shown with the rules" }] : []}
      preview={async () => preview(act, await ask(act, rules, { dry_run: true }))}
      send={async (identity, { note = "" }): Promise<Done> => ({ text: summary(act, await ask(act, rules, { note }, identity)) })}
    />
  );
}

/** Ask for all rules, in as many requests as needed. With the same identity, what is done already is not done again. */
async function ask(act: Verb, rules: readonly string[], more: { note?: string; dry_run?: boolean }, identity?: string): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (let at = 0; at < rules.length; at += MOST) {
    const headers = identity === undefined ? {} : { "Idempotency-Key": identity };
    try {
      const { items } = await post("/api/v1/rule-acts", { headers, body: { act, rules: rules.slice(at, at + MOST), ...more } });
      answers.push(...items);
    } catch (error) {
      if (at === 0 || !(error instanceof Problem)) throw error;
      throw new Problem(error.status, `${error.detail} The first ${number(at)} of ${number(rules.length)} rules are done: try again for the others.`, error.wait);
    }
  }
  return answers;
}

function preview(act: Verb, answers: readonly Answer[]): ComponentChildren {
  const listed = RESULTS.flatMap((result) => answers.filter((answer) => answer.result === result)).slice(0, LISTED);
  return (
    <>
      <p><strong>{countsOf(act, answers, true)}</strong></p>
      <ul class="answers" tabIndex={0} aria-label="What would become of each rule">
        {listed.map(({ rule, result, detail }) => (
          <li key={rule}><span class={`state ${TONES[result]}`}>{result === "done" ? act : result}</span> <strong>{rule}</strong> <span class="muted">{visible(detail)}</span></li>
        ))}
      </ul>
      {answers.length > listed.length && <p class="muted">{`and ${number(answers.length - listed.length)} more`}</p>}
    </>
  );
}

const TONES: Readonly<Record<Result, string>> = { refused: "bad", waits: "wait", done: "good", unchanged: "idle" };

/** As "2 would be paused, 1 refused". */
export function countsOf(act: Verb, answers: readonly Answer[], dry: boolean): string {
  const words: Readonly<Record<Result, string>> = { refused: "refused", waits: "waiting", done: TEXTS[act].done, unchanged: "unchanged" };
  const parts = RESULTS.toReversed().flatMap((result) => {
    const count = answers.filter((answer) => answer.result === result).length;
    return count === 0 ? [] : [`${number(count)} ${words[result]}`];
  });
  return `${dry ? "This would be: " : ""}${parts.join(", ")}.`;
}

/** The counts, and the first rules that were refused, with why. */
function summary(act: Verb, answers: readonly Answer[]): string {
  const refused = answers.filter(({ result }) => result === "refused");
  const named = refused.slice(0, 3).map(({ rule, detail }) => `${rule}: ${detail}`);
  const rest = refused.length > named.length ? [`and ${number(refused.length - named.length)} more`] : [];
  return [countsOf(act, answers, false), ...(refused.length === 0 ? [] : [`Refused: ${[...named, ...rest].join("; ")}`])].join(" ");
}
