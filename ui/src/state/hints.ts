/** What the service says changed; see `GET /api/v1/changes`. */
export interface Hint {
  rules: readonly string[];
  runs: readonly string[];
  events: boolean;
  everything: boolean;
}

/** What an answer depends on. Without `rules` and `runs` it is asked for again at intervals only. */
export interface Depends {
  rules?: readonly string[];
  runs?: readonly string[];
  events?: boolean;
  /** Milliseconds after which other changes count as well: they may change which rows there are, or their order. */
  others?: number;
}

export const EVERYTHING: Hint = { rules: [], runs: [], events: true, everything: true };
/** Hints that are remembered; one that missed more asks for everything. */
const MOST = 50;

/** The last hints, each with a number that grows. */
export class Hints {
  private readonly kept: [number, Hint][] = [];
  private last = 0;

  /** Remember a hint; return its number. */
  add(hint: Hint): number {
    this.last += 1;
    this.kept.push([this.last, hint]);
    if (this.kept.length > MOST) this.kept.shift();
    return this.last;
  }

  /** Whether any hint after the number `seen` concerns what depends on `of`; undefined: on everything. */
  concern(seen: number, of: Depends | undefined): boolean {
    if (of === undefined || this.last - seen > this.kept.length) return this.last > seen;
    return this.kept.some(([number, hint]) => number > seen && concerns(hint, of));
  }
}

function concerns(hint: Hint, of: Depends): boolean {
  return (
    hint.everything ||
    (of.events === true && hint.events) ||
    hint.rules.some((rule) => of.rules?.includes(rule)) ||
    hint.runs.some((run) => of.runs?.includes(run))
  );
}
