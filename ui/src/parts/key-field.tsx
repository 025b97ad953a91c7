import { useEffect, useState } from "preact/hooks";

/** A field whose value is in the address; it is taken over when the reader leaves it or presses Enter. */
export function KeyField({ label, value, set, hint }: { label: string; value: string; set: (value: string) => void; hint?: string }) {
  const [typed, setTyped] = useState(value);
  useEffect(() => { setTyped(value); }, [value]);
  return (
    <label>
      {label}
      <input
        type="text"
        maxLength={1024}
        placeholder={hint}
        value={typed}
        onInput={(event) => { setTyped(event.currentTarget.value); }}
        onKeyDown={(event) => { if (event.key === "Enter") set(typed); }}
        onBlur={() => { if (typed !== value) set(typed); }}
      />
    </label>
  );
}
