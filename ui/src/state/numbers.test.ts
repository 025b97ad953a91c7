import { expect, it } from "vitest";

import { bytes, many, number } from "./numbers";

it.each([
  [0, "0 B"],
  [1023, "1,023 B"],
  [1536, "1.5 KiB"],
  [5 * 2 ** 40, "5 TiB"],
])("shows %d bytes as %s", (given, shown) => {
  expect(bytes(given)).toBe(shown);
});

it("counts one and many", () => {
  expect(many(1, "event")).toBe("1 event");
  expect(many(1200, "event")).toBe("1,200 events");
  expect(number(0.20000000001)).toBe("0.2");
});
