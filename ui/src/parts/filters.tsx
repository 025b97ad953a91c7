import type { ComponentChildren } from "preact";

import { get } from "../api/client";
import { useAddress, useParameter } from "../state/address";
import { fromField, toField } from "../state/moments";
import { useQuery } from "../state/query";
import { zone, zoneName } from "../state/zone";

import "../styles/filters.css";

/** Fields that narrow a list. Each is a part of the address. `names` are those that "Clear" removes. */
export function Filters({ names, children }: { names: readonly string[]; children: ComponentChildren }) {
  const { query, change } = useAddress();
  const used = names.some((name) => query[name]);
  return (
    <div class="filters" role="group" aria-label="Filters">
      {children}
      <button disabled={!used} onClick={() => { change(Object.fromEntries(names.map((name) => [name, ""]))); }}>Clear filters</button>
    </div>
  );
}

export function TextFilter({ name, label, placeholder }: { name: string; label: string; placeholder?: string }) {
  const [value, set] = useParameter(name);
  return (
    <label>
      {label}
      <input type="text" value={value} placeholder={placeholder ?? "any"} maxLength={200} onChange={(event) => { set(event.currentTarget.value.trim()); }} />
    </label>
  );
}

/** A choice of values, each with its text; none of them is "any". */
export function ChoiceFilter({ name, label, options }: { name: string; label: string; options: readonly string[] }) {
  const [value, set] = useParameter(name);
  const all = value === "" || options.includes(value) ? options : [...options, value];
  return (
    <label>
      {label}
      <select value={value} onChange={(event) => { set(event.currentTarget.value); }}>
        <option value="">any</option>
        {all.map((option) => <option key={option} value={option}>{option.replaceAll("_", " ")}</option>)}
      </select>
    </label>
  );
}

export function SourceFilter() {
  const sources = useQuery("names of sources", (signal) => get("/api/v1/sources", { query: { limit: 500 }, signal }));
  return <ChoiceFilter name="source" label="Source" options={sources.data?.items.map((source) => source.name) ?? []} />;
}

/** `since` and `until`, in the zone in which times are shown. */
export function PeriodFilter() {
  return (
    <>
      <MomentFilter name="since" label="Since" />
      <MomentFilter name="until" label="Until" />
    </>
  );
}

function MomentFilter({ name, label }: { name: string; label: string }) {
  const [value, set] = useParameter(name);
  return (
    <label>
      {label} ({zoneName(zone.value)})
      <input type="datetime-local" value={toField(value, zone.value)} onChange={(event) => { set(fromField(event.currentTarget.value, zone.value)); }} />
    </label>
  );
}

/** What the address says of these, for a query of the API: those that are given. */
export function useFilters<N extends string>(...names: readonly N[]): Partial<Record<N, string>> {
  const { query } = useAddress();
  return Object.fromEntries(names.filter((name) => query[name]).map((name) => [name, query[name]])) as Partial<Record<N, string>>;
}
