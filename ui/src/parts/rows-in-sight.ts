import { observeWindowOffset, observeWindowRect, Virtualizer, windowScroll } from "@tanstack/virtual-core";
import type { RefObject } from "preact";
import { useCallback, useLayoutEffect, useReducer, useRef, useState } from "preact/hooks";

export interface RowsInSight {
  /** The indices to draw, in order. */
  indices: readonly number[];
  /** Pixels of the rows before and after them, which are not drawn. */
  before: number;
  after: number;
  /** To be called with the element of each row, which has its index as `data-index`. */
  measure: (row: HTMLTableRowElement | null) => void;
  show: (index: number) => void;
}

const ROW = 38;
/** The bar at the top, which hides what scrolls below it. */
const BAR = 64;

/** Which of many rows to draw: those in the window, and a few around them. Rows are measured, as their text may wrap. */
export function useRowsInSight(body: RefObject<HTMLElement | null>, count: number, keyOf: (index: number) => string | number): RowsInSight {
  const [, redraw] = useReducer((drawn: number) => drawn + 1, 0);
  const top = useRef(0);
  const options = {
    count,
    getItemKey: keyOf,
    getScrollElement: () => window,
    estimateSize: () => ROW,
    observeElementRect: observeWindowRect,
    observeElementOffset: observeWindowOffset,
    scrollToFn: windowScroll,
    initialRect: { width: innerWidth, height: innerHeight },
    initialOffset: () => scrollY,
    scrollMargin: top.current,
    scrollPaddingStart: BAR,
    overscan: 12,
    onChange: () => { redraw(undefined); },
  };
  const [rows] = useState(() => new Virtualizer<Window, HTMLTableRowElement>(options));
  rows.setOptions(options);
  useLayoutEffect(() => rows._didMount(), [rows]);
  useLayoutEffect(() => {
    rows._willUpdate();
    const begins = body.current === null ? 0 : Math.round(body.current.getBoundingClientRect().top + scrollY);
    if (begins === top.current) return;
    top.current = begins;
    redraw(undefined);
  });
  const items = rows.getVirtualItems();
  return {
    indices: items.map((item) => item.index),
    before: (items[0]?.start ?? top.current) - top.current,
    after: rows.getTotalSize() - ((items.at(-1)?.end ?? top.current) - top.current),
    measure: rows.measureElement,
    show: useCallback((index: number) => { rows.scrollToIndex(index); }, [rows]),
  };
}
