/** What became of the rows of a list when its first page was asked for again. */
export interface Followed<T> {
  /** The first page, then the rows that were shown below it. */
  rows: readonly T[];
  /** The rows as they were shown, with their new content, and without those that are gone. */
  kept: readonly T[];
  /** New rows above others. */
  fresh: number;
  /** Whether `rows` has the rows of `kept` in other places. */
  moves: boolean;
  /** Whether any row that was shown is in the new page. */
  joined: boolean;
}

/**
 * Compare the rows that are shown with a new first page. A row that is missing above one that is still there is gone; one
 * that is missing below all of them was pushed to a later page.
 */
export function follow<T>(shown: readonly T[], page: { items: readonly T[]; next: string | null }, id: (row: T) => string | number): Followed<T> {
  const now = new Map(page.items.map((row) => [id(row), row]));
  const before = new Set(shown.map(id));
  const last = shown.findLastIndex((row) => now.has(id(row)));
  const beyond = page.next === null ? [] : shown.slice(last + 1);
  const kept = [...shown.slice(0, last + 1).filter((row) => now.has(id(row))).map((row) => now.get(id(row)) ?? row), ...beyond];
  const bottom = page.items.findLastIndex((row) => before.has(id(row)));
  const fresh = page.items.slice(0, bottom + 1).filter((row) => !before.has(id(row))).length;
  const common = page.items.filter((row) => before.has(id(row))).map(id);
  const joined = common.length > 0;
  const moves = shown.length > 0 && page.items.length > 0 && (fresh > 0 || !joined || common.some((each, index) => each !== kept.map(id)[index]));
  return { rows: [...page.items, ...beyond], kept: joined ? kept : shown, fresh: joined ? fresh : page.items.length, moves, joined };
}
