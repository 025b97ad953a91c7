import type { Decision, Problem, Run, Schemas } from "../../api/client";
import { Decisions } from "../../parts/decisions";
import { Runs } from "../../parts/runs";
import { Tabs } from "../../parts/tabs";
import { useParameter } from "../../state/address";
import { Configuration } from "./configuration";
import { isPerKey } from "./configured";
import { Data } from "./data";
import { Keys } from "./keys";
import { Requests } from "./requests";
import { Tests } from "./tests";
import { TryEvent } from "./try";
import { UpcomingOfRule } from "./upcoming";

import "../../styles/rule-tabs.css";

interface Props {
  line: Schemas["RuleDetail"];
  decisions: { items: readonly Decision[]; problem: Problem | undefined };
  runs: { items: readonly Run[] | undefined; problem: Problem | undefined };
  at: string;
  onAt: (at: string) => void;
}

/** The tabs of the Rule screen; each has a file of its own. */
export function RuleTabs({ line, decisions, runs, at, onAt }: Props) {
  const [ruleKey, setKey] = useParameter("key");
  return (
    <Tabs
      name="tab"
      tabs={{
        History: () => <Decisions decisions={decisions.items} at={at} problem={decisions.problem} onAt={onAt} />,
        Data: () => <Data line={line} ruleKey={ruleKey} />,
        ...(isPerKey(line) ? { Keys: () => <Keys line={line} ruleKey={ruleKey} onKey={setKey} /> } : {}),
        Runs: () => <Runs runs={runs.items} problem={runs.problem} />,
        Upcoming: () => <UpcomingOfRule rule={line.name} />,
        Requests: () => <Requests line={line} ruleKey={ruleKey} />,
        Configuration: () => <Configuration line={line} />,
        Tests: () => <Tests rule={line.name} />,
        "Try an event": () => <TryEvent line={line} />,
      }}
    />
  );
}
