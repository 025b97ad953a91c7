import { useRef, useState } from "preact/hooks";

import { post, Problem } from "../api/client";
import { to } from "../state/address";
import { live } from "../state/live";
import { visible } from "../state/text";

type Name = "trigger" | "pause" | "resume";

const WORDS: Readonly<Record<Name, { button: string; title: string; what: string }>> = {
  trigger: {
    button: "Trigger …",
    title: "Start a manual run",
    what: "A manual run is subject to overlap, budget and pool. If one of these blocks it, it waits.",
  },
  pause: {
    button: "Pause …",
    title: "Pause the rule",
    what: "No run starts until the rule is resumed. Its schedules and data are still recorded.",
  },
  resume: {
    button: "Resume …",
    title: "Resume the rule",
    what: "Ends a manual pause, and closes the circuit breakers of all its keys.",
  },
};

/** A button and its dialog: what the act does, then a confirmation. It shows what the engine answered, never a guess. */
export function Act({ rule, act, label }: { rule: string; act: Name; label?: string }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [identity, setIdentity] = useState("");
  const [note, setNote] = useState("");
  const [answer, setAnswer] = useState<{ text: string; run?: string; failed?: boolean }>();
  const [sending, setSending] = useState(false);
  const words = WORDS[act];
  const open = () => {
    setIdentity(crypto.randomUUID());
    setAnswer(undefined);
    dialog.current?.showModal();
  };
  const send = async (event: Event) => {
    event.preventDefault();
    setSending(true);
    try {
      setAnswer(await sent(rule, act, identity, note));
    } catch (error) {
      setAnswer({ text: error instanceof Problem ? error.detail : String(error), failed: true });
    } finally {
      setSending(false);
      live.version.value += 1;
    }
  };
  return (
    <>
      <button onClick={open}>{label ?? words.button}</button>
      <dialog ref={dialog} aria-labelledby={`${act}-title`}>
        <form onSubmit={(event) => void send(event)}>
          <h2 id={`${act}-title`}>{words.title}: {rule}</h2>
          <p>{words.what}</p>
          {act === "pause" && (
            <label>
              Reason, shown with the rule
              <input type="text" maxLength={1000} value={note} onInput={(event) => { setNote(event.currentTarget.value); }} />
            </label>
          )}
          {answer && (
            <p class={answer.failed ? "note bad" : "note"} role="status">
              {visible(answer.text)} {answer.run && <a href={to(`/runs/${answer.run}`)}>Show the run</a>}
            </p>
          )}
          <div class="end">
            <button type="button" onClick={() => dialog.current?.close()}>{answer ? "Close" : "Cancel"}</button>
            {(answer === undefined || answer.failed) && (
              <button class="main" disabled={sending}>{words.title}</button>
            )}
          </div>
        </form>
      </dialog>
    </>
  );
}

async function sent(rule: string, act: Name, identity: string, note: string): Promise<{ text: string; run?: string }> {
  const path = { rule };
  if (act === "pause") {
    await post("/api/v1/rules/{rule}/pause", { path, body: { note } });
    return { text: "The rule is paused." };
  }
  if (act === "resume") {
    await post("/api/v1/rules/{rule}/resume", { path });
    return { text: "The rule is active again." };
  }
  const done = await post("/api/v1/rules/{rule}/trigger", { path, headers: { "Idempotency-Key": identity }, body: {} });
  const run = typeof done.run?.id === "string" ? done.run.id : undefined;
  return { text: `${done.decision}: ${done.reason.replaceAll("_", " ")} ${done.detail}`, ...(run ? { run } : {}) };
}
