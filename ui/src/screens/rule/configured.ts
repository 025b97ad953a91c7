import type { Schemas } from "../../api/client";

/** What the tabs read from the configuration of a rule, which is in the rule language. */
export interface Configured {
  for_each?: unknown;
  triggers?: Readonly<Record<string, { data?: Reads; metric?: Reads; alert?: Reads; schedule?: unknown }>>;
}

interface Reads {
  source?: string;
}

export function configured(line: Schemas["RuleDetail"]): Configured {
  return line.configuration;
}

/** Whether the rule has a state for each key. */
export function isPerKey(line: Schemas["RuleDetail"]): boolean {
  return configured(line).for_each !== undefined;
}

/** The sources of the rule's triggers, each once. */
export function sourcesOf(line: Schemas["RuleDetail"]): string[] {
  const named = Object.values(configured(line).triggers ?? {}).flatMap(({ data, metric, alert }) => [data?.source, metric?.source, alert?.source]);
  return [...new Set(named.filter((name): name is string => name !== undefined))];
}

/** The names of the rule's schedules. */
export function schedulesOf(line: Schemas["RuleDetail"]): string[] {
  return Object.entries(configured(line).triggers ?? {}).flatMap(([name, trigger]) => (trigger.schedule === undefined ? [] : [name]));
}
