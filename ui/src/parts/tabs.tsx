import type { VNode } from "preact";

import { useParameter } from "../state/address";

/** Views of which one is shown; the address says which. Only the one that is shown is made. */
export function Tabs({ name, tabs }: { name: string; tabs: Readonly<Record<string, () => VNode>> }) {
  const [given, set] = useParameter(name);
  const titles = Object.keys(tabs);
  const shown = titles.find((title) => slug(title) === given) ?? titles[0] ?? "";
  const move = (event: KeyboardEvent) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const next = titles[titles.indexOf(shown) + by];
    if (by === 0 || next === undefined) return;
    set(slug(next), true);
    document.getElementById(`tab-${slug(next)}`)?.focus();
  };
  return (
    <section>
      <div class="tabs" role="tablist" onKeyDown={move}>
        {titles.map((title) => (
          <button
            key={title}
            id={`tab-${slug(title)}`}
            role="tab"
            aria-selected={title === shown}
            aria-controls="tab-panel"
            tabIndex={title === shown ? 0 : -1}
            onClick={() => { set(slug(title), true); }}
          >
            {title}
          </button>
        ))}
      </div>
      <div id="tab-panel" role="tabpanel" aria-labelledby={`tab-${slug(shown)}`} style={{ paddingTop: "12px" }}>
        {tabs[shown]?.()}
      </div>
    </section>
  );
}

/** A title as it is in the address. */
function slug(title: string): string {
  return title.toLowerCase().replaceAll(" ", "-");
}
