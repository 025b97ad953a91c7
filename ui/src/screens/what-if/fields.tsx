import { useEffect, useState } from "preact/hooks";

import { many } from "../../state/numbers";
import { visible } from "../../state/text";
import { amount, label, step, text, type Changes, type Field } from "../../state/what-if";

interface Props {
  fields: readonly Field[];
  changes: Changes;
  onChange: (path: string, value: string | undefined) => void;
}

/** The numbers of a rule, each with a slider and as a text. */
export function Moved({ fields, changes, onChange }: Props) {
  const one = (field: Field) => <One key={field.path} field={field} value={changes[field.path]} onChange={(value) => { onChange(field.path, value); }} />;
  const first = fields.filter((field) => field.given);
  const others = fields.filter((field) => !field.given);
  const opened = first.length === 0 || others.some((field) => changes[field.path] !== undefined);
  return (
    <>
      <ul class="moved">{first.map(one)}</ul>
      {others.length > 0 && (
        <details open={opened}>
          <summary>{many(others.length, "more number")}, by default</summary>
          <ul class="moved">{others.map(one)}</ul>
        </details>
      )}
      <Unknown fields={fields} changes={changes} onChange={onChange} />
    </>
  );
}

/** Changes of the address that are of no known number. The validator says what is wrong with them. */
function Unknown({ fields, changes, onChange }: Props) {
  return (
    <ul class="moved">
      {Object.entries(changes)
        .filter(([path]) => !fields.some((field) => field.path === path))
        .map(([path, value]) => (
          <li key={path} class="changed">
            <span>{visible(`${path}: ${value}`)}</span>
            <button class="plain" onClick={() => { onChange(path, undefined); }}>Remove</button>
          </li>
        ))}
    </ul>
  );
}

function One({ field, value, onChange }: { field: Field; value: string | undefined; onChange: (value: string | undefined) => void }) {
  const shown = value ?? field.written;
  const [typed, setTyped] = useState(shown);
  useEffect(() => { setTyped(shown); }, [shown]);
  const at = amount(typed, field.unit) ?? field.value ?? field.least;
  const commit = (next: string) => {
    onChange(next === field.written || next.trim() === "" ? undefined : next.trim());
  };
  const name = label(field.path);
  const id = `field-${field.path}`;
  return (
    <li class={value === undefined ? "" : "changed"}>
      <label for={id}>{name}</label>
      <input
        id={id}
        type="text"
        value={typed}
        placeholder="not set"
        onInput={(event) => { setTyped(event.currentTarget.value); }}
        onChange={(event) => { commit(event.currentTarget.value); }}
      />
      <input
        type="range"
        aria-label={`${name}, slider`}
        aria-valuetext={typed}
        min={Math.min(field.least, at)}
        max={Math.max(field.most, at)}
        step={step(field)}
        value={at}
        onInput={(event) => { setTyped(text(Number(event.currentTarget.value), field)); }}
        onChange={(event) => { commit(text(Number(event.currentTarget.value), field)); }}
      />
      <span class="muted was">
        {value === undefined ? visible(field.about).replaceAll("`", "") : <>now {field.written === "" ? "not set" : field.written} <button class="plain link" onClick={() => { onChange(undefined); }}>Back</button></>}
      </span>
    </li>
  );
}
