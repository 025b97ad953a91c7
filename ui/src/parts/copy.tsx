import { useState } from "preact/hooks";

/** Copies a text; where the browser does not allow it, it says so. */
export function Copy({ text, what = "Copy" }: { text: string; what?: string }) {
  const [answer, setAnswer] = useState("");
  // Typed as always there, and missing on origins that are not secure.
  const clipboard = navigator.clipboard as Clipboard | undefined;
  const copy = () => {
    if (clipboard === undefined) {
      setAnswer("The browser copies on HTTPS and localhost only: select the text, and copy it by hand.");
      return;
    }
    clipboard.writeText(text).then(
      () => { setAnswer("Copied."); },
      () => { setAnswer("The browser did not allow it: select the text, and copy it by hand."); },
    );
  };
  return (
    <>
      <button type="button" onClick={copy}>{what}</button>
      <span class="muted" role="status">{answer}</span>
    </>
  );
}
