import { expect, it } from "vitest";

import { visible } from "./text";

it.each([
  ["plain text, ümläuts and 日本語 stay", "plain text, ümläuts and 日本語 stay"],
  ["a\u202egnp.exe", "a\\u202egnp.exe"],
  ["zero\u200bwidth", "zero\\u200bwidth"],
  ["bell\u0007", "bell\\u0007"],
  ["lines\nand\ttabs stay", "lines\nand\ttabs stay"],
])("makes what hides or reorders visible: %j", (given, shown) => {
  expect(visible(given)).toBe(shown);
});
