import { useLocation } from "preact-iso";
import { useCallback } from "preact/hooks";

import { root } from "../api/client";

/** The address of a screen, below the page's own. */
export function to(path: string, query: Readonly<Record<string, string | undefined>> = {}): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== "");
  const text = new URLSearchParams(given).toString();
  return `${root}/ui${path}${text === "" ? "" : `?${text}`}`;
}

/** One part of the address's query, and how to change it. A change of what is looked at makes an entry in the history. */
export function useParameter(name: string): [string, (value: string, replace?: boolean) => void] {
  const { query, path, route } = useLocation();
  const set = useCallback(
    (value: string, replace = false) => {
      const next = new URLSearchParams(location.search);
      if (value === "") next.delete(name);
      else next.set(name, value);
      const text = next.toString();
      route(`${path}${text === "" ? "" : `?${text}`}`, replace);
    },
    [name, path, route],
  );
  return [query[name] ?? "", set];
}

/** The address of this screen with some parts of the query changed, as a link and as an act. Empty values are left out. */
export function useAddress(): { query: Readonly<Record<string, string>>; link: (changes: Readonly<Record<string, string>>) => string; change: (changes: Readonly<Record<string, string>>) => void } {
  const { query, path, route } = useLocation();
  const link = (changes: Readonly<Record<string, string>>) => {
    const next = Object.entries({ ...query, ...changes }).filter((pair) => pair[1] !== "");
    const text = new URLSearchParams(next).toString();
    return `${path}${text === "" ? "" : `?${text}`}`;
  };
  return { query, link, change: (changes) => { route(link(changes)); } };
}
