import { get } from "../api/client";
import { useQuery } from "../state/query";

/** The key of a rule with `for_each` that the screen shows. The first keys are offered; any other can be written. */
export function KeyChoice({ rule, value, onKey }: { rule: string; value: string; onKey: (key: string) => void }) {
  const keys = useQuery(`keys ${rule}`, (signal) => get("/api/v1/rules/{rule}/keys", { path: { rule }, query: { limit: 100 }, signal }));
  const known = keys.data?.items ?? [];
  return (
    <form class="key-choice" onSubmit={(event) => { event.preventDefault(); }}>
      <label>
        Key
        <input
          type="text" list="keys" autocomplete="off" value={value} placeholder={known.length === 0 ? "no key has a state yet" : "choose or write a key"}
          onChange={(event) => { onKey(event.currentTarget.value); }}
        />
      </label>
      <datalist id="keys">{known.map((each) => <option key={each.key} value={each.key} />)}</datalist>
      <span class="muted">
        {known.length}{keys.data?.next ? " and more" : ""} keys. The tree, the chart and the verdict are of one key.
      </span>
    </form>
  );
}
