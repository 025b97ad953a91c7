import { useEffect, useReducer, useRef } from "preact/hooks";

import type { Depends } from "./hints";
import { live } from "./live";

/** A number that grows when the service hints that what depends on `of` changed; undefined: with every hint. */
export function useConcerned(of: Depends | undefined): number {
  const [count, grow] = useReducer((before: number) => before + 1, 0);
  const version = live.version.value;
  const seen = useRef(version);
  const grew = useRef(Date.now());
  const later = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const latest = useRef(of);
  latest.current = of;
  useEffect(() => {
    if (seen.current === version) return;
    const concerned = live.hints.concern(seen.current, latest.current);
    seen.current = version;
    const now = () => {
      clearTimeout(later.current);
      later.current = undefined;
      grew.current = Date.now();
      grow(undefined);
    };
    const others = latest.current?.others;
    if (concerned) now();
    else if (others !== undefined) later.current ??= setTimeout(now, Math.max(0, grew.current + others - Date.now()));
  }, [version]);
  useEffect(() => () => { clearTimeout(later.current); }, []);
  return count;
}
