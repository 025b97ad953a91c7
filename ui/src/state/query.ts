import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { Problem } from "../api/client";
import { live } from "./live";

export interface Query<T> {
  /** The last answer. It stays while the next one is on its way, and while there is none. */
  data: T | undefined;
  problem: Problem | undefined;
  loading: boolean;
  again: () => void;
}

/**
 * Ask for what a screen shows: at first, when `key` changes, and when the service hints that it changed.
 * Answers of an earlier key are dropped. Without a key nothing is asked.
 */
export function useQuery<T>(key: string | undefined, ask: (signal: AbortSignal) => Promise<T>): Query<T> {
  const [answer, setAnswer] = useState<{ key?: string | undefined; data?: T; problem?: Problem }>({});
  const [loading, setLoading] = useState(true);
  const latest = useRef(ask);
  latest.current = ask;
  const running = useRef<AbortController | undefined>(undefined);

  const again = useCallback(() => {
    running.current?.abort();
    if (key === undefined) return;
    const request = (running.current = new AbortController());
    setLoading(true);
    latest.current(request.signal).then(
      (data) => {
        if (!request.signal.aborted) setAnswer({ key, data });
        if (!request.signal.aborted) setLoading(false);
      },
      (error: unknown) => {
        if (request.signal.aborted) return;
        const problem = error instanceof Problem ? error : new Problem(0, String(error));
        setAnswer((before) => (before.key === key ? { ...before, problem } : { key, problem }));
        setLoading(false);
      },
    );
  }, [key]);

  useEffect(() => {
    again();
    return () => { running.current?.abort(); };
  }, [again]);
  const version = live.version.value;
  const seen = useRef(version);
  useEffect(() => {
    if (seen.current === version) return;
    seen.current = version;
    again();
  }, [version, again]);

  const current = answer.key === key;
  return {
    data: current ? answer.data : undefined,
    problem: current ? answer.problem : undefined,
    loading,
    again,
  };
}
