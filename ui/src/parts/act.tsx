import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLocation } from "preact-iso";
import { useEffect, useRef, useState } from "preact/hooks";

import { Problem } from "../api/client";
import { live } from "../state/live";
import { visible } from "../state/text";

/** A value that the dialog asks for. */
export interface Field {
  name: string;
  label: string;
  kind?: "text" | "number" | "datetime-local" | "checkbox";
  /** Values to choose from, in place of a free text. */
  options?: readonly string[];
  initial?: string;
  required?: boolean;
  max?: number;
}

/** What was filled in, by name of the field; "true" or "" for a checkbox. */
export type Values = Readonly<Record<string, string>>;

/** What the engine answered, and where the result is shown. */
export interface Done {
  text: string;
  link?: { text: string; address: string };
}

export interface ActProps {
  /** The text of the button that opens the dialog. */
  button: string;
  /** The verb and its object; also the text of the button that confirms. */
  title: string;
  /** What it is done to: a rule, a run. */
  subject?: string;
  /** What it does, in a sentence or two. */
  what: ComponentChildren;
  fields?: readonly Field[];
  /** A dry run: what it would do, what it costs and what holds it. Called when the dialog opens and when a field changed. */
  preview?: (values: Values) => Promise<ComponentChildren>;
  /** Do it. `identity` is one for each time that the dialog was opened, for the header Idempotency-Key. */
  send: (identity: string, values: Values) => Promise<Done>;
  /** It may be sent twice and is done once, so it is sent again by itself while no leader answers. */
  repeats?: boolean;
  disabled?: boolean;
}

/** The act whose dialog is open, as it was offered then. */
const opened = signal<(ActProps & { identity: string }) | null>(null);

/** The button of an act. */
export function Act(props: ActProps) {
  return <button disabled={props.disabled} onClick={() => { opened.value = { ...props, identity: newIdentity() }; }}>{props.button}</button>;
}

/**
 * The dialog of an act: what it does, its dry run, then a confirmation. It shows what the engine answered, never a guess.
 * It is beside the screens, so it can still be read after the act changed what they offer; another screen closes it.
 */
export function ActDialog() {
  const { path } = useLocation();
  const dialog = useRef<HTMLDialogElement>(null);
  const act = opened.value;
  useEffect(() => { if (act !== null) dialog.current?.showModal(); }, [act]);
  useEffect(() => () => { opened.value = null; }, [path]);
  if (act === null) return null;
  return (
    <dialog ref={dialog} key={act.identity} aria-label={act.title} onClose={() => { opened.value = null; }}>
      <Form {...act} close={() => dialog.current?.close()} />
    </dialog>
  );
}

/** A new identity. `crypto.randomUUID` is missing on origins that are not secure, such as plain HTTP to another host. */
function newIdentity(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function Form({ title, subject, what, fields = [], preview, send, repeats = false, identity, close }: ActProps & { identity: string; close: () => void }) {
  const [values, setValues] = useState<Values>(() => Object.fromEntries(fields.map((field) => [field.name, field.initial ?? ""])));
  const [answer, setAnswer] = useState<Done & { failed?: boolean; wait?: number | undefined }>();
  const form = useRef<HTMLFormElement>(null);
  const [sending, setSending] = useState(false);
  // The button is disabled with the next frame only: a double click may be faster.
  const isSending = useRef(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (isSending.current) return;
    isSending.current = true;
    setSending(true);
    try {
      setAnswer(await send(identity, values));
    } catch (error) {
      setAnswer({ text: textOf(error), failed: true, wait: repeats && error instanceof Problem ? error.wait : undefined });
    } finally {
      isSending.current = false;
      setSending(false);
      live.again();
    }
  };
  useEffect(() => {
    if (answer?.wait === undefined) return;
    const timer = setTimeout(() => form.current?.requestSubmit(), answer.wait * 1000);
    return () => { clearTimeout(timer); };
  }, [answer]);
  const open = answer === undefined || answer.failed;
  return (
    <form ref={form} onSubmit={(event) => void submit(event)}>
      <h2>{title}{subject !== undefined && `: ${subject}`}</h2>
      <div>{what}</div>
      {fields.map((field) => (
        <Input key={field.name} field={field} value={values[field.name] ?? ""} set={(value) => { setValues({ ...values, [field.name]: value }); }} />
      ))}
      {preview && open && <Preview ask={preview} values={values} />}
      {answer && (
        <p class={answer.failed ? "note bad" : "note"} role="status">
          {visible(answer.text)} {answer.link && <a href={answer.link.address}>{answer.link.text}</a>}
        </p>
      )}
      {answer?.wait !== undefined && <p>It is sent again every {answer.wait} s until this is closed, and done once.</p>}
      <div class="end">
        <button type="button" onClick={close}>{answer ? "Close" : "Cancel"}</button>
        {open && <button class="main" disabled={sending}>{title}</button>}
      </div>
    </form>
  );
}

function Input({ field, value, set }: { field: Field; value: string; set: (value: string) => void }) {
  if (field.kind === "checkbox") {
    return (
      <label class="check">
        <input type="checkbox" checked={value === "true"} onChange={(event) => { set(event.currentTarget.checked ? "true" : ""); }} /> {field.label}
      </label>
    );
  }
  return (
    <label>
      {field.label}
      {field.options === undefined ? (
        <input type={field.kind as "text"} maxLength={field.max ?? 1000} required={field.required ?? false} value={value} onInput={(event) => { set(event.currentTarget.value); }} />
      ) : (
        <select value={value} onChange={(event) => { set(event.currentTarget.value); }}>
          {field.options.map((option) => <option key={option} value={option}>{option}</option>)}
        </select>
      )}
    </label>
  );
}

/** What a dry run answered, asked again a moment after the last change of a field. */
function Preview({ ask, values }: { ask: (values: Values) => Promise<ComponentChildren>; values: Values }) {
  const [shown, setShown] = useState<ComponentChildren>(<span class="muted">Asking what it would do …</span>);
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => {
    let wanted = true;
    const timer = setTimeout(() => {
      latest.current(values).then(
        (answer) => { if (wanted) setShown(answer); },
        (error: unknown) => { if (wanted) setShown(<p class="note bad">{textOf(error)}</p>); },
      );
    }, 150);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [values]);
  return <div class="preview" role="status">{shown}</div>;
}

function textOf(error: unknown): string {
  return error instanceof Problem ? error.detail : String(error);
}
