import type { Schemas } from "../api/client";

export type Field = Schemas["MovableField"];
/** Values by the path of their field, as they were set. */
export type Changes = Readonly<Record<string, string>>;

const UNITS: readonly (readonly [string, number])[] = [["w", 604_800], ["d", 86_400], ["h", 3_600], ["m", 60], ["ms", 0.001], ["s", 1]];
const WRITTEN: readonly (readonly [string, number])[] = [["d", 86_400], ["h", 3_600], ["m", 60], ["s", 1]];
const SIZES: Readonly<Record<string, number>> = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };
const STEPS = 200;

/** Changes as one text for the address: `path=value`, one after the other with `;` between. */
export function written(changes: Changes): string {
  return Object.entries(changes).map(([path, value]) => `${path}=${encodeURIComponent(value)}`).join(";");
}

export function read(text: string): Changes {
  const pairs = text.split(";").map((pair) => pair.split("=", 2));
  return Object.fromEntries(pairs.flatMap(([path, value]) => (path && value ? [[path, decoded(value)]] : [])));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The changes as the API takes them: numbers as numbers, durations and sizes as they are written. */
export function asked(changes: Changes, fields: readonly Field[]): Record<string, string | number> {
  const units = new Map(fields.map((field) => [field.path, field.unit]));
  return Object.fromEntries(
    Object.entries(changes).map(([path, value]) => {
      const unit = units.get(path);
      const number = Number(value);
      return [path, (unit === "number" || unit === "count") && Number.isFinite(number) ? number : value];
    }),
  );
}

/** The value of a text in the unit of its field; undefined if it is none. */
export function amount(text: string, unit: Field["unit"]): number | undefined {
  if (unit === "seconds") {
    if (!/^(\d+(ms|s|m|h|d|w))+$/.test(text)) return undefined;
    const parts = text.matchAll(/(\d+)(ms|s|m|h|d|w)/g);
    return [...parts].reduce((sum, [, count, name]) => sum + Number(count) * (UNITS.find(([each]) => each === name)?.[1] ?? 0), 0);
  }
  if (unit === "bytes") {
    const found = /^(\d+(?:\.\d+)?)([KMGT]i?B|B)$/.exec(text);
    return found === null ? undefined : Number(found[1]) * (SIZES[found[2] ?? "B"] ?? 1);
  }
  return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : undefined;
}

/** A value in the unit of a field as it is written in files, as exact as its slider is. */
export function text(value: number, field: Field): string {
  if (field.unit === "count") return String(Math.round(value));
  if (field.unit === "bytes") return `${Math.max(1, Math.round(value / 2 ** 20))}MiB`;
  if (field.unit === "number") return String(Number(value.toPrecision(3)));
  const step = value >= 86_400 ? 3_600 : value >= 3_600 ? 300 : value >= 60 ? 10 : 1;
  let left = Math.round(value / step) * step;
  const out = WRITTEN.map(([name, size]) => {
    const count = Math.floor(left / size);
    left -= count * size;
    return count === 0 ? "" : `${count}${name}`;
  }).join("");
  return out === "" ? "0s" : out;
}

/** The step of a field's slider. */
export function step(field: Field): number {
  const exact = (field.most - field.least) / STEPS;
  return field.unit === "count" ? Math.max(1, Math.round(exact)) : exact;
}

/** A path in words, with the trigger that it is of: "drift: above", "cooldown period". */
export function label(path: string): string {
  const [first, ...rest] = path.split(".");
  if (first !== "triggers") return rest.join(" ").replaceAll("_", " ");
  const [name, , ...field] = rest;
  return `${name ?? ""}: ${field.filter((each) => each !== "batch").join(" ").replaceAll("_", " ")}`;
}
