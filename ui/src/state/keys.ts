type Handler = () => void;

const handlers: Readonly<Record<string, Handler>>[] = [];

/** Call a handler when its key is pressed outside of fields and dialogs. Returns what takes the handlers away. */
export function onKeys(given: Readonly<Record<string, Handler>>): () => void {
  handlers.unshift(given);
  return () => {
    handlers.splice(handlers.indexOf(given), 1);
  };
}

let first = "";

function pressed(event: KeyboardEvent): void {
  const target = event.target instanceof HTMLElement ? event.target : document.body;
  if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input:not([type=range]), textarea, select, dialog")) return;
  const typed = first + event.key;
  first = event.key === "g" && first === "" ? "g " : "";
  const handler = handlers.find((each) => typed in each)?.[typed];
  if (handler === undefined) return;
  event.preventDefault();
  handler();
}

document.addEventListener("keydown", pressed);
