import assert from "node:assert/strict";
import { test } from "node:test";
import { counted, figure, size } from "../src/format/size";
import { age, between, clock, duration, utc } from "../src/format/time";
import { commandLine, oneLine, quoted } from "../src/format/text";

test("sizes", () => {
  assert.deepEqual([0, 512, 1024, 1536, 256 << 20, 5 * 2 ** 40].map(size), ["0 B", "512 B", "1 KiB", "1.5 KiB", "256 MiB", "5 TiB"]);
});

test("numbers", () => {
  assert.deepEqual([0, 1, 1200].map((number) => counted(number, "line")), ["0 lines", "1 line", "1,200 lines"]);
  assert.deepEqual([0.123, 12.34, 7, 1234.6].map(figure), ["0.12", "12.3", "7", "1,235"]);
});

test("durations", () => {
  const given = [-1, 0.34, 2.44, 59.9, 60, 185, 7800, 277_200];
  assert.deepEqual(given.map(duration), ["0 s", "340 ms", "2.4 s", "59 s", "1 min", "3 min 5 s", "2 h 10 min", "3 d 5 h"]);
});

test("ages", () => {
  assert.deepEqual([-5, 0.4, 90, 300, 7200, 200_000].map(age), ["0 s", "0 s", "90 s", "5 min", "2 h", "2 d"]);
});

test("a time is in the viewer's zone, with the day unless it is today", () => {
  const now = new Date("2026-01-02T12:00:00Z");
  assert.equal(clock("2026-01-02T03:04:05Z", now, "Asia/Tokyo"), "12:04:05");
  assert.equal(clock("2026-01-01T03:04:05Z", now, "Asia/Tokyo"), "2026-01-01 12:04:05");
  assert.equal(utc("2026-01-02T12:04:05.678+09:00"), "2026-01-02 03:04:05.678 UTC");
  assert.equal(between("2026-01-02T03:04:05Z", "2026-01-02T03:04:06.5Z"), 1.5);
});

test("words for a shell", () => {
  assert.deepEqual(["abc", "", "a b", "it's", "$x"].map(quoted), ["abc", "''", "'a b'", "'it'\\''s'", "'$x'"]);
  assert.equal(commandLine(["sh", "-c", "echo hi"]), "sh -c 'echo hi'");
  assert.equal(commandLine("echo hi"), "echo hi");
  assert.equal(oneLine("a\n  b\u001b"), "a ⏎ b␛");
});
