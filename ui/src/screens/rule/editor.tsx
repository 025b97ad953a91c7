import { useEffect, useRef, useState } from "preact/hooks";

import { post, Problem, type Schemas } from "../../api/client";
import { Copy } from "../../parts/copy";
import { Difference } from "../../parts/text";
import { visible } from "../../state/text";

type Source = Schemas["RuleSource"];
type Validation = Schemas["Validation"];

/** Milliseconds after the last key until the text is checked. */
const PAUSE = 400;

/** A copy of a rule's text to change, with what the service says about it. Nothing of it is stored. */
export function Editor({ source, onClose }: { source: Source; onClose: () => void }) {
  const [text, setText] = useState(source.text);
  const { answer, problem } = useValidation(source.rule, text);
  const area = useRef<HTMLTextAreaElement>(null);
  const go = (line: number, column: number) => {
    const before = text.split("\n").slice(0, line - source.line).reduce((sum, each) => sum + each.length + 1, 0);
    area.current?.focus();
    area.current?.setSelectionRange(before + column - 1, before + column - 1);
  };
  return (
    <div class="tab">
      <p class="note">Nothing is saved here: copy the text into {visible(source.file)}, from line {source.line} on, and review it there. It is lost when you leave the page.</p>
      <label>
        A copy of the rule
        <textarea ref={area} rows={Math.min(30, text.split("\n").length + 2)} spellcheck={false} autocomplete="off" autocapitalize="off" maxLength={100_000} value={text} onInput={(event) => { setText(event.currentTarget.value); }} />
      </label>
      {visible(text) !== text && <p class="note wait">The text has characters that hide or reorder others. They are numbered here: {visible(text).split("\n").filter((line) => !text.includes(line)).join(" ")}</p>}
      <div class="choices">
        <Copy text={text} what="Copy the text" />
        <button type="button" disabled={text === source.text} onClick={() => { setText(source.text); }}>Start again</button>
        <button type="button" onClick={onClose}>Close</button>
      </div>
      <div role="status">
        {problem !== undefined ? (
          <p class="note bad">{problem}</p>
        ) : answer === undefined ? (
          <p class="muted">Checking …</p>
        ) : (
          <Verdict answer={answer} source={source} go={go} />
        )}
      </div>
      {text !== source.text && <Difference before={source.text} after={text} label="What the copy changes" />}
    </div>
  );
}

function Verdict({ answer, source, go }: { answer: Validation; source: Source; go: (line: number, column: number) => void }) {
  if (!answer.valid) {
    return (
      <ul class="findings" aria-label="Mistakes">
        {answer.findings.map((found, at) => (
          <li key={at}>
            <button type="button" onClick={() => { go(found.line, found.column); }} aria-label={`Go to line ${found.line}, column ${found.column}`}>
              {found.line}:{found.column}
            </button>{" "}
            {found.path !== "" && <code>{visible(found.path)}: </code>}
            {visible(found.message)}{found.hint !== "" && <>: <strong>{visible(found.hint)}</strong></>}
          </li>
        ))}
      </ul>
    );
  }
  return (
    <>
      <p class="note">
        The text is valid{answer.changed.length === 0 ? ", and means the same as what is in force" : ""}.{" "}
        {answer.rules.some((name) => name !== source.rule) && <>It defines {visible(answer.rules.join(", "))}. </>}
        {answer.dropped.map((each) => (
          <span key={each.trigger}>Loading it drops the state of the trigger {visible(each.trigger)}: {visible(each.why)}. </span>
        ))}
      </p>
      {answer.advice.length > 0 && (
        <ul class="findings" aria-label="Advice">
          {answer.advice.map((each, at) => (
            <li key={at} class="wait"><code>{visible(each.path)}: </code>{visible(each.message)}: <strong>{visible(each.hint)}</strong></li>
          ))}
        </ul>
      )}
    </>
  );
}

/** What the service says of a text, a moment after its last change. The last answer stays while the next one is on its way. */
function useValidation(rule: string, text: string): { answer: Validation | undefined; problem: string | undefined } {
  const [found, setFound] = useState<{ answer?: Validation; problem?: string }>({});
  useEffect(() => {
    const request = new AbortController();
    const timer = setTimeout(() => {
      post("/api/v1/validate", { body: { rule, text }, signal: request.signal }).then(
        (answer) => { setFound({ answer }); },
        (error: unknown) => { if (!request.signal.aborted) setFound({ problem: error instanceof Problem ? error.detail : String(error) }); },
      );
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      request.abort();
    };
  }, [rule, text]);
  return { answer: found.answer, problem: found.problem };
}
