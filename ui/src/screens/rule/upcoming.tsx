import { get, type Schemas } from "../../api/client";
import { Missing, Moment, Stale, State, type Tone } from "../../parts/basics";
import { Table } from "../../parts/table";
import { useParameter } from "../../state/address";
import { now } from "../../state/now";
import { useQuery } from "../../state/query";
import { visible } from "../../state/text";

type Coming = Schemas["Upcoming"];

const TONES: Readonly<Record<Coming["outcome"], Tone>> = { fires: "good", waits: "wait", held: "wait", skipped: "idle", each_key: "active" };
const PERIODS: Readonly<Record<string, number>> = { "24 hours": 86_400, "7 days": 604_800, "30 days": 2_592_000 };
const SHOWN = 100;

/** What the rule will decide, if nothing else arrives. */
export function UpcomingOfRule({ rule }: { rule: string }) {
  const [given, set] = useParameter("within");
  const within = given in PERIODS ? given : "24 hours";
  const found = useQuery(`upcoming ${rule} ${within}`, (signal) =>
    get("/api/v1/upcoming", { query: { rule, limit: SHOWN, until: new Date(now.value + (PERIODS[within] ?? 0) * 1000).toISOString() }, signal }),
  );
  return (
    <div class="tab">
      <div class="choices"><label>
        Within
        <select value={within} onChange={(event) => { set(event.currentTarget.value); }}>{Object.keys(PERIODS).map((each) => <option key={each}>{each}</option>)}</select>
      </label></div>
      {found.data === undefined ? (
        <Missing problem={found.problem} what="what comes" />
      ) : (
        <>
          <Stale problem={found.problem} />
          {found.data.items.length === 0 ? (
            <p class="muted">Nothing will happen by itself until then: the rule waits for events, or somebody.</p>
          ) : (
            <Table
              label="What comes"
              rows={found.data.items}
              id={(each) => `${each.at} ${each.key} ${each.kind} ${each.trigger}`}
              columns={[
                { title: "At", cell: ({ at }) => <Moment at={at} /> },
                { title: "In its zone", cell: ({ local, zone }) => local && <>{local} <span class="muted">{local.endsWith(zone) ? "" : zone}</span></> },
                { title: "What", kind: "wrap", cell: ({ kind, trigger, key }) => visible([kind, trigger, key].filter((part) => part !== "").join(" ")) },
                { title: "Outcome", cell: ({ outcome }) => <State tone={TONES[outcome]}>{outcome.replaceAll("_", " ")}</State> },
                { title: "Detail", kind: "wrap", cell: ({ detail, clock, held_by }) => visible([detail, clock, ...held_by.map((each) => each.detail)].filter((part) => part !== "").join("; ")) },
              ]}
            />
          )}
          {found.data.next !== null && <p class="muted">These are the first {SHOWN}.</p>}
          {!found.data.complete && <p class="note wait">Computed until <Moment at={found.data.until} long />: choose a shorter time to see all of it.</p>}
          <p class="muted">This holds {visible(found.data.assumes)}.</p>
        </>
      )}
    </div>
  );
}
