import { effect, signal } from "@preact/signals";

export const themes = ["system", "light", "dark"] as const;
export type Theme = (typeof themes)[number];

const KEY = "retrainer.theme";
const kept = localStorage.getItem(KEY);

/** The colours of the page; kept in the browser. */
export const theme = signal<Theme>(themes.find((each) => each === kept) ?? "system");

effect(() => {
  document.documentElement.dataset.theme = theme.value;
  localStorage.setItem(KEY, theme.value);
});
