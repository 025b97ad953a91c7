import { get } from "../api/client";
import { Missing, Stale, State } from "../parts/basics";
import { to, useParameter } from "../state/address";
import { useQuery } from "../state/query";
import { visible } from "../state/text";
import { toneOfDecision } from "../state/tones";

export function RulesScreen() {
  const [name, setName] = useParameter("name");
  const found = useQuery(`rules ${name}`, (signal) =>
    get("/api/v1/rules", { query: { name, limit: 100 }, signal }),
  );
  return (
    <>
      <h1>Rules</h1>
      <label>
        <span class="hidden">Search rules by name</span>
        <input id="search" type="search" placeholder="A part of the name" value={name} onInput={(event) => { setName(event.currentTarget.value, true); }} />
      </label>
      <Stale problem={found.data && found.problem} />
      {found.data === undefined ? (
        <Missing problem={found.problem} what="rules" />
      ) : found.data.items.length === 0 ? (
        <p class="muted">{name === "" ? "There is no rule. Write one into the folder that `rules` of the settings names." : `No rule has “${visible(name)}” in its name.`}</p>
      ) : (
        <div class="list">
          {found.data.items.map((rule) => (
            <a key={rule.name} href={to(`/rules/${rule.name}`)}>
              <State tone={toneOfDecision(rule.decision, rule.reason)}>{rule.reason.replaceAll("_", " ")}</State>
              <span><strong>{rule.name}</strong> <span class="muted">{visible(rule.verdict)}</span></span>
            </a>
          ))}
        </div>
      )}
    </>
  );
}
