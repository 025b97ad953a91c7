import { get } from "../api/client";
import { Runs } from "../parts/runs";
import { useParameter } from "../state/address";
import { useQuery } from "../state/query";

export function RunsScreen() {
  const [rule] = useParameter("rule");
  const found = useQuery(`all runs ${rule}`, (signal) =>
    get("/api/v1/runs", { query: { limit: 100, ...(rule === "" ? {} : { rule }) }, signal }),
  );
  return (
    <>
      <h1>Runs{rule !== "" && ` of ${rule}`}</h1>
      <Runs runs={found.data?.items} problem={found.problem} ruleShown />
    </>
  );
}
