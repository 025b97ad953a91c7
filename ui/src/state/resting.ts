/** Milliseconds after the last movement from which a reader rests. */
const QUIET = 1500;
let moved = 0;

for (const kind of ["pointermove", "pointerdown", "wheel", "keydown", "touchmove"] as const) {
  window.addEventListener(kind, () => { moved = Date.now(); }, { passive: true });
}

const ROWS = "main tbody, main .list";

/** Whether rows may move: the reader is at the top, does nothing, and neither points at rows nor has one in focus. */
export function isResting(): boolean {
  return (
    window.scrollY < 8 &&
    Date.now() - moved > QUIET &&
    document.querySelector(`:is(${ROWS}):hover`) === null &&
    document.activeElement?.closest(ROWS) == null
  );
}
