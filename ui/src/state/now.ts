import { signal } from "@preact/signals";

/** The time in epoch milliseconds, for relative times. It moves each second while the page is visible. */
export const now = signal(Date.now());

setInterval(() => {
  if (document.visibilityState === "visible") now.value = Date.now();
}, 1000);
