import { useEffect, useRef, useState } from "preact/hooks";

import type { Problem } from "../api/client";
import { type Followed, follow } from "./follow";
import { useQuery } from "./query";
import { isResting } from "./resting";

/** A page of a list: its rows, and where the next page begins. */
export interface Page<T> {
  items: readonly T[];
  next: string | null;
}

/** Rows that are there and not shown, because they would move those that the reader looks at. */
export interface News {
  /** How many are new; 0 if only the order changed, undefined if the reader is far from the first page. */
  count: number | undefined;
  show: () => void;
}

export interface Pages<T> {
  /** The rows of all pages that were asked for; undefined before the first answer. */
  items: readonly T[] | undefined;
  problem: Problem | undefined;
  /** Ask for the next page; undefined if there is none. */
  more: (() => void) | undefined;
  news: News | undefined;
}

/** Parts of a query, of which some may be missing. */
export function asked(parts: Readonly<Record<string, unknown>>): never {
  return parts as never;
}

/** Rows in the document at most: beyond, the next page replaces those before. */
const MOST = 200;

interface Shown<T> {
  key: string;
  rows: readonly T[];
  next: string | null;
  /** The answer for the first page that was followed last. */
  seen: Page<T>;
  /** Whether later pages were asked for. */
  later: boolean;
  /** Whether the first page is not among the rows any more. */
  apart: boolean;
  waiting: Followed<T> | undefined;
}

/**
 * Ask for a list page by page. The first page is asked for again when something changed. Rows do not move while they are
 * looked at: then new ones are announced, unless the reader rests at the top.
 */
export function usePages<T>(key: string, id: (row: T) => string | number, ask: (cursor: string | undefined, signal: AbortSignal) => Promise<Page<T>>): Pages<T> {
  const first = useQuery(key, (signal) => ask(undefined, signal));
  const [, draw] = useState(0);
  const [problem, setProblem] = useState<Problem>();
  const shown = useRef<Shown<T> | undefined>(undefined);
  useEffect(() => { setProblem(undefined); }, [key]);
  if (first.data === undefined) return { items: undefined, problem: first.problem, more: undefined, news: undefined };
  const here = (shown.current = followed(shown.current, key, first.data, id));
  const put = (next: Partial<Shown<T>>) => {
    if (shown.current?.key !== key) return;
    shown.current = { ...shown.current, ...next };
    draw((count) => count + 1);
  };
  const { next } = here;
  return {
    items: here.rows,
    problem: first.problem ?? problem,
    more: next === null ? undefined : () => {
      ask(next, new AbortController().signal).then(
        (page) => { put(extended(shown.current ?? here, page, id)); setProblem(undefined); },
        (error: unknown) => { setProblem(error as Problem); },
      );
    },
    news: newsOf(here, () => { put(started(key, here.seen)); }),
  };
}

function started<T>(key: string, page: Page<T>): Shown<T> {
  return { key, rows: page.items, next: page.next, seen: page, later: false, apart: false, waiting: undefined };
}

/** What is shown after an answer for the first page. */
function followed<T>(before: Shown<T> | undefined, key: string, page: Page<T>, id: (row: T) => string | number): Shown<T> {
  if (before?.key !== key) return started(key, page);
  if (before.seen === page || before.apart) return { ...before, seen: page };
  const after = follow(before.rows, page, id);
  if (after.moves && !isResting()) return { ...before, seen: page, rows: after.kept, waiting: after };
  if (!before.later || !after.joined) return started(key, page);
  return { ...before, seen: page, rows: after.rows, waiting: undefined };
}

/** What is shown after a further page. */
function extended<T>(here: Shown<T>, page: Page<T>, id: (row: T) => string | number): Partial<Shown<T>> {
  const there = new Set(here.rows.map(id));
  const rows = page.items.filter((row) => !there.has(id(row)));
  if (here.rows.length + rows.length > MOST) return { rows, next: page.next, later: true, apart: true, waiting: undefined };
  return { rows: [...here.rows, ...rows], next: page.next, later: true };
}

function newsOf<T>(here: Shown<T>, show: () => void): News | undefined {
  if (here.apart) return { count: undefined, show };
  return here.waiting && { count: here.waiting.fresh, show };
}
