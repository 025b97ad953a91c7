import { useEffect, useState } from "preact/hooks";

import type { Problem } from "../api/client";
import { useQuery } from "./query";

/** A page of a list: its rows, and where the next page begins. */
export interface Page<T> {
  items: readonly T[];
  next: string | null;
}

export interface Pages<T> {
  /** The rows of all pages that were asked for; undefined before the first answer. */
  items: readonly T[] | undefined;
  problem: Problem | undefined;
  /** Ask for the next page; undefined if there is none. */
  more: (() => void) | undefined;
}

/**
 * Ask for a list page by page. The first page is asked for again when something changed; the later ones, which the
 * reader asked for, stay as they were, so rows that are looked at do not move.
 */
export function usePages<T>(key: string, id: (row: T) => string | number, ask: (cursor: string | undefined, signal?: AbortSignal) => Promise<Page<T>>): Pages<T> {
  const first = useQuery(key, (signal) => ask(undefined, signal));
  const [later, setLater] = useState<{ key: string; rows: readonly T[]; next: string | null }>();
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => { setLater(undefined); }, [key]);
  if (first.data === undefined) return { items: undefined, problem: first.problem, more: undefined };
  const shown = later?.key === key ? later : undefined;
  const next = shown ? shown.next : first.data.next;
  const seen = new Set(first.data.items.map(id));
  return {
    items: shown ? [...first.data.items, ...shown.rows.filter((row) => !seen.has(id(row)))] : first.data.items,
    problem: first.problem ?? problem,
    more: next === null ? undefined : () => {
      const before = shown?.rows ?? [];
      ask(next).then(
        (page) => { setLater({ key, rows: [...before, ...page.items], next: page.next }); setProblem(undefined); },
        (error: unknown) => { setProblem(error as Problem); },
      );
    },
  };
}
