const plain = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 6 });
const SIZES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** A number with separators, to six digits. */
export function number(value: number): string {
  return plain.format(value);
}

/** Bytes in the largest unit of 1024 that keeps a digit before the point. */
export function bytes(value: number): string {
  let size = value;
  let unit = 0;
  while (Math.abs(size) >= 1024 && unit < SIZES.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${new Intl.NumberFormat("en-US", { maximumFractionDigits: unit === 0 ? 0 : 1 }).format(size)} ${SIZES[unit] ?? "B"}`;
}

/** One and many: "1 event", "2 events". */
export function many(count: number, one: string): string {
  return `${number(count)} ${count === 1 ? one : `${one}s`}`;
}
