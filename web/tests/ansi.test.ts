import assert from "node:assert/strict";
import { test } from "node:test";
import { plain, PLAIN, spans } from "../src/log/ansi";
import { visible } from "../src/format/text";

const shown = (line: string) => spans(line)[0].map(({ text, look }) => [text, look]);

test("the 16 colours, weights and their ends", () => {
  assert.deepEqual(shown("\u001b[1;31mred\u001b[22m thin\u001b[39m none"), [
    ["red", { bold: true, fg: 1 }],
    [" thin", { fg: 1 }],
    [" none", {}],
  ]);
  assert.deepEqual(shown("\u001b[97;100mx\u001b[mplain"), [["x", { fg: 15, bg: 8 }], ["plain", PLAIN]]);
});

test("256 and 16 million colours", () => {
  assert.deepEqual(shown("\u001b[38;5;9ma\u001b[38;5;196mb\u001b[48;2;1;2;300mc"), [
    ["a", { fg: 9 }],
    ["b", { fg: "rgb(255, 0, 0)" }],
    ["c", { fg: "rgb(255, 0, 0)", bg: "rgb(1, 2, 255)" }],
  ]);
});

test("what moves a cursor, sets a title or makes a link is left out", () => {
  const line = "a\u001b[2Jb\u001b[10;10Hc\u001b]0;title\u0007d\u001b]8;;http://x.test\u001b\\e\u001b(Bf";
  assert.equal(plain(line), "abcdef");
  assert.deepEqual(shown(line).map(([text]) => text).join(""), "abcdef");
});

test("a sequence that is not complete is shown", () => {
  assert.deepEqual(shown("a\u001b[31"), [["a\u241b[31", PLAIN]]);
});

test("markup is text", () => {
  const line = "<img src=x onerror=alert(1)></script>&amp;";
  assert.deepEqual(shown(line), [[line, PLAIN]]);
});

test("what turns the direction of reading is shown as its code, other scripts stay", () => {
  assert.equal(visible("a\u202eb\u2066c"), "a[U+202E]b[U+2066]c");
  assert.equal(visible("שלום\u0007\u0000"), "שלום␇␀");
});

test("hostile lengths take no more than their length", () => {
  const many = "\u001b[".repeat(200_000) + "\u001b]".repeat(200_000) + `\u001b[${"1;".repeat(200_000)}`;
  assert.equal(plain(many).length > 0, true);
});
