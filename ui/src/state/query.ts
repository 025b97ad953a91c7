import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { Problem } from "../api/client";
import { useConcerned } from "./concerned";
import type { Depends } from "./hints";

export interface Query<T> {
  /** The last answer. It stays while the next one is on its way, and while there is none. */
  data: T | undefined;
  problem: Problem | undefined;
}

/**
 * Ask for what a screen shows: at first, when `key` changes, and when the service hints that it changed.
 * Answers of an earlier key are dropped. `every` so many seconds it is asked again while the page is visible, for what
 * changes without a hint. `of`: what the answer depends on, so that other hints are passed over.
 */
export function useQuery<T>(key: string, ask: (signal: AbortSignal) => Promise<T>, every?: number, of?: Depends): Query<T> {
  const [answer, setAnswer] = useState<{ key?: string; data?: T; problem?: Problem }>({});
  const latest = useRef(ask);
  latest.current = ask;
  const running = useRef<AbortController | undefined>(undefined);

  const again = useCallback(() => {
    running.current?.abort();
    const request = (running.current = new AbortController());
    latest.current(request.signal).then(
      (data) => {
        if (!request.signal.aborted) setAnswer({ key, data });
      },
      (error: unknown) => {
        if (request.signal.aborted) return;
        const problem = error instanceof Problem ? error : new Problem(0, String(error));
        setAnswer((before) => (before.key === key ? { ...before, problem } : { key, problem }));
      },
    );
  }, [key]);

  useEffect(() => {
    again();
    return () => { running.current?.abort(); };
  }, [again]);
  useEffect(() => {
    if (every === undefined) return;
    const timer = setInterval(() => { if (!document.hidden) again(); }, every * 1000);
    return () => { clearInterval(timer); };
  }, [again, every]);
  const count = useConcerned(of);
  const seen = useRef(count);
  useEffect(() => {
    if (seen.current === count) return;
    seen.current = count;
    again();
  }, [count, again]);

  const current = answer.key === key;
  return {
    data: current ? answer.data : undefined,
    problem: current ? answer.problem : undefined,
  };
}
