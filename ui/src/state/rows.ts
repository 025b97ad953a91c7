import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { Problem } from "../api/client";
import { useConcerned } from "./concerned";
import type { Page } from "./pages";
import { isResting } from "./resting";

/** Milliseconds between two questions while only rows that are not in sight change. */
export const OTHERS = 5000;

interface Part<T> extends Page<T> {
  cursor: string | undefined;
}

export interface Rows<T> {
  /** The rows that are here; undefined before the first answer. They keep their order until `again`. */
  rows: readonly T[] | undefined;
  problem: Problem | undefined;
  /** Ask for the next part; undefined if there is none, or if it is on its way. */
  more: (() => void) | undefined;
  /** The service has another order, or other rows, than what is shown. */
  moved: boolean;
  /** Ask for everything in the order of now. */
  again: () => void;
  /** Say which rows are in sight: only they are asked for again when something changed. */
  inSight: (first: number, last: number) => void;
}

/** The rows of a long list, part by part, as they are scrolled to. What changes is shown in its row: no row moves by itself. */
export function useRows<T>(key: string, id: (row: T) => string, ask: (cursor: string | undefined, signal: AbortSignal) => Promise<Page<T>>): Rows<T> {
  const [parts, setParts] = useState<readonly Part<T>[]>([]);
  const [problem, setProblem] = useState<Problem>();
  const [moved, setMoved] = useState(false);
  const [asking, setAsking] = useState(false);
  const sight = useRef<[number, number]>([0, 0]);
  const request = useRef(new AbortController());
  const latest = useRef({ ask, parts });
  latest.current = { ask, parts };

  const load = useCallback((cursor: string | undefined, take: (page: Page<T>) => void, done = (): void => undefined) => {
    const { signal } = request.current;
    latest.current.ask(cursor, signal).then(
      (page) => { if (!signal.aborted) { take(page); setProblem(undefined); } },
      (error: unknown) => { if (!signal.aborted) setProblem(error instanceof Problem ? error : new Problem(0, String(error))); },
    ).finally(() => { if (!signal.aborted) done(); });
  }, []);

  const again = useCallback(() => {
    request.current.abort();
    request.current = new AbortController();
    setAsking(false);
    load(undefined, (page) => { setParts([{ ...page, cursor: undefined }]); setMoved(false); });
  }, [load]);

  useEffect(() => {
    setParts([]);
    again();
    return () => { request.current.abort(); };
  }, [key, again]);

  const version = useConcerned({ rules: distinct(parts, id).slice(...sight.current).map(id), others: OTHERS });
  const seen = useRef(version);
  useEffect(() => {
    if (seen.current === version) return;
    seen.current = version;
    if (latest.current.parts.length === 0 || isResting()) {
      again();
      return;
    }
    for (const part of partsIn(latest.current.parts, ...sight.current)) {
      load(part.cursor, (page) => {
        setParts((before) => before.map((each) => (each.cursor === part.cursor ? renewed(each, page, id) : each)));
        if (hasMoved(part, page, id)) setMoved(true);
      });
    }
  }, [version, again, load, id]);

  const next = parts.at(-1)?.next;
  return {
    rows: parts.length === 0 ? undefined : distinct(parts, id),
    problem,
    more: asking || next === undefined || next === null ? undefined : () => {
      setAsking(true);
      load(next, (page) => { setParts((before) => [...before, { ...page, cursor: next }]); }, () => { setAsking(false); });
    },
    moved,
    again,
    inSight: useCallback((first: number, last: number) => { sight.current = [first, last]; }, []),
  };
}

/** The parts that have the rows from `first` to `last`. */
export function partsIn<T>(parts: readonly Part<T>[], first: number, last: number): Part<T>[] {
  let begin = 0;
  return parts.filter((part) => {
    const end = begin + part.items.length;
    const isIn = begin <= last && end > first;
    begin = end;
    return isIn;
  });
}

/** A part with its rows as they are now, in their old order. */
export function renewed<T>(part: Part<T>, page: Page<T>, id: (row: T) => string): Part<T> {
  const now = new Map(page.items.map((row) => [id(row), row]));
  return { ...part, items: part.items.map((row) => now.get(id(row)) ?? row) };
}

/** Whether a part would be other rows, or the same in another order. */
export function hasMoved<T>(part: Part<T>, page: Page<T>, id: (row: T) => string): boolean {
  return part.items.length !== page.items.length || part.items.some((row, index) => id(row) !== id(page.items[index] as T));
}

/** The rows of all parts. A row that moved while they were asked for may be in two: it is shown once. */
export function distinct<T>(parts: readonly Part<T>[], id: (row: T) => string): readonly T[] {
  const [only] = parts;
  if (parts.length === 1 && only) return only.items;
  return [...new Map(parts.flatMap((part) => part.items).reverse().map((row) => [id(row), row])).values()].reverse();
}
