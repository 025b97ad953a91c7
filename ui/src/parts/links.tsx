import type { Schemas } from "../api/client";

/** Links to other pages, by the settings: logs, Argo's page, dashboards. Each opens beside this page, which tells it nothing. */
export function Links({ links }: { links: readonly Schemas["OutwardLink"][] }) {
  if (links.length === 0) return null;
  return (
    <p class="outward">
      {links.map((link) => <a key={link.name} href={link.url} target="_blank" rel="noopener noreferrer">{link.name} ↗</a>)}
    </p>
  );
}
