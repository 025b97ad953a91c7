import type { Decision, Run } from "../api/client";
import { now } from "../state/now";
import { absolute } from "../state/time";
import { toneOfPhase } from "../state/tones";
import { zone } from "../state/zone";

const WIDTH = 720;
const LEFT = 150;
const ROW = 22;
const TICKS = 5;
const MOST_REASONS = 8;

interface Props {
  decisions: readonly Decision[];
  runs: readonly Run[];
  at: string;
  onAt: (at: string) => void;
}

interface Strip {
  from: number;
  to: number;
  decision: Decision;
}

/** Rows of one time axis: a strip for each reason to hold, marks where it fired or skipped, bars for runs. */
export function Timeline({ decisions, runs, at, onAt }: Props) {
  const end = now.value;
  const start = Math.min(end - 60_000, ...decisions.map((decision) => Date.parse(decision.first_at)));
  const x = (time: number) => LEFT + ((Math.max(start, Math.min(end, time)) - start) / (end - start)) * (WIDTH - LEFT - 8);
  const strips = stripsOf(decisions, end);
  const reasons = [...new Set(strips.filter((strip) => strip.decision.decision === "hold").map((strip) => strip.decision.reason))].slice(0, MOST_REASONS);
  const shown = runs.filter((run) => Date.parse(run.ended_at ?? run.created_at) >= start || !run.ended_at);
  const rows = reasons.length + 2;
  const height = rows * ROW + 24;
  const pick = (event: MouseEvent) => {
    const box = (event.currentTarget as SVGSVGElement).getBoundingClientRect();
    const time = start + (((event.clientX - box.left) / box.width) * WIDTH - LEFT) / (WIDTH - LEFT - 8) * (end - start);
    if (time >= start && time <= end) onAt(new Date(time).toISOString());
  };
  return (
    <figure>
      <svg class="chart" viewBox={`0 0 ${WIDTH} ${height}`} role="img" aria-label={summary(reasons, shown)} onClick={pick}>
        {Array.from({ length: TICKS }, (_, tick) => {
          const time = start + ((end - start) * tick) / (TICKS - 1);
          return (
            <g key={tick}>
              <line class="axis" x1={x(time)} x2={x(time)} y1={0} y2={rows * ROW} />
              <text x={x(time)} y={height - 6} text-anchor={tick === 0 ? "start" : tick === TICKS - 1 ? "end" : "middle"}>
                {absolute(time, zone.value).slice(end - start > 86_400_000 ? 5 : 11, end - start > 86_400_000 ? 16 : 19)}
              </text>
            </g>
          );
        })}
        {reasons.map((reason, row) => (
          <g key={reason}>
            <text x={0} y={row * ROW + 15}>{reason.replaceAll("_", " ")}</text>
            {strips
              .filter((strip) => strip.decision.decision === "hold" && strip.decision.reason === reason)
              .map((strip) => (
                <rect key={strip.decision.id} class="hold" x={x(strip.from)} y={row * ROW + 4} width={Math.max(1, x(strip.to) - x(strip.from))} height={ROW - 8}>
                  <title>{strip.decision.detail}</title>
                </rect>
              ))}
          </g>
        ))}
        <text x={0} y={reasons.length * ROW + 15}>fired, skipped</text>
        {strips
          .filter((strip) => strip.decision.decision !== "hold")
          .map((strip) => (
            <line key={strip.decision.id} class={strip.decision.decision === "fire" ? "fire" : "skip-mark"} x1={x(strip.from)} x2={x(strip.from)} y1={reasons.length * ROW + 3} y2={reasons.length * ROW + ROW - 3}>
              <title>{`${strip.decision.decision}: ${strip.decision.reason}`}</title>
            </line>
          ))}
        <text x={0} y={(reasons.length + 1) * ROW + 15}>runs</text>
        {shown.map((run) => (
          <rect
            key={run.id}
            class={`run ${toneOfPhase(run.phase)}`}
            x={x(Date.parse(run.created_at))}
            y={(reasons.length + 1) * ROW + 6}
            width={Math.max(3, x(run.ended_at ? Date.parse(run.ended_at) : end) - x(Date.parse(run.created_at)))}
            height={ROW - 12}
          >
            <title>{`run ${run.id.slice(-6)} ${run.phase}`}</title>
          </rect>
        ))}
        {at !== "" && <line class="at" x1={x(Date.parse(at))} x2={x(Date.parse(at))} y1={0} y2={rows * ROW} />}
      </svg>
    </figure>
  );
}

/** Each decision lasts until the next one. Decisions come the latest first. */
export function stripsOf(decisions: readonly Decision[], end: number): Strip[] {
  return decisions.map((decision, place) => {
    const following = decisions[place - 1];
    return { decision, from: Date.parse(decision.first_at), to: following ? Date.parse(following.first_at) : end };
  });
}

function summary(reasons: readonly string[], runs: readonly Run[]): string {
  const held = reasons.length > 0 ? `Held for ${reasons.join(", ").replaceAll("_", " ")}.` : "Never held.";
  return `${held} ${runs.length} runs in this time. The table under History has the same decisions.`;
}
