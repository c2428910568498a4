import assert from "node:assert/strict";
import { test } from "node:test";
import { LineBuffer } from "../src/log/buffer";

const encode = (text: string) => new TextEncoder().encode(text);

function rows(buffer: LineBuffer): string[] {
  return Array.from({ length: buffer.rows - buffer.droppedRows }, (_, at) => buffer.row(buffer.droppedRows + at).text);
}

test("lines are the same however the bytes come", () => {
  const bytes = encode("one\n\nthrée\r\nfour");
  for (const step of [1, 2, 3, bytes.length]) {
    const buffer = new LineBuffer();
    for (let at = 0; at < bytes.length; at += step) buffer.append(bytes.subarray(at, at + step));
    assert.deepEqual(rows(buffer), ["one", "", "thrée", "four"]);
    assert.equal(buffer.lines, 4);
    assert.equal(buffer.end, bytes.length);
  }
});

test("a piece that came before adds nothing, and one that is missing is told", () => {
  const buffer = new LineBuffer();
  buffer.take(0, encode("abc\n"));
  buffer.take(2, encode("c\nde"));
  buffer.take(0, encode("abc"));
  buffer.take(16, encode("z\n"));
  assert.deepEqual(rows(buffer), ["abc", "de", "", "z"]);
  assert.equal(buffer.row(2).missing, 10);
  assert.equal(buffer.row(3).line, 3);
});

test("memory is bounded, and what went is counted", () => {
  const buffer = new LineBuffer({ bytes: 1 << 20, rows: 1_000_000 });
  const line = encode(`${"x".repeat(99)}\n`);
  for (let at = 0; at < 50_000; at++) buffer.append(line);
  assert.equal(buffer.lines, 50_000);
  assert.ok(buffer.droppedRows > 0);
  assert.equal(buffer.droppedBytes, buffer.droppedRows * 99);
  assert.ok((buffer.rows - buffer.droppedRows) * 99 <= (1 << 20) + (300 << 10));
  assert.equal(buffer.row(buffer.droppedRows).line, buffer.droppedRows + 1);
  assert.equal(buffer.row(buffer.rows - 1).line, 50_000);
  assert.equal(buffer.rowOf(50_000), 49_999);
  assert.equal(buffer.rowOf(1), null);
});

test("rows are bounded too, also empty ones", () => {
  const buffer = new LineBuffer({ bytes: 1 << 30, rows: 50_000 });
  buffer.append(encode("\n".repeat(1_000_000)));
  assert.equal(buffer.lines, 1_000_000);
  assert.ok(buffer.rows - buffer.droppedRows <= 50_000 + 20_000);
});

test("a line without an end is cut into rows between two characters", () => {
  const buffer = new LineBuffer();
  const text = "é".repeat(20_000) + "€".repeat(20_000);
  buffer.append(encode(text));
  assert.equal(rows(buffer).join(""), text);
  assert.equal(buffer.lines, 1);
  assert.equal(buffer.row(1).line, 0);
});

test("bytes that are no text do not hold it up", () => {
  const buffer = new LineBuffer();
  buffer.append(new Uint8Array(100_000).fill(0x80));
  assert.equal(buffer.lines, 1);
  assert.ok(rows(buffer).join("").startsWith("\ufffd"));
});

test("a colour goes on in the next line until it ends", () => {
  const buffer = new LineBuffer();
  buffer.append(encode("a \u001b[31mred\nstill red\n\u001b[0mplain\nplain"));
  assert.deepEqual(buffer.row(0).look, {});
  assert.deepEqual(buffer.row(1).look, { fg: 1 });
  assert.deepEqual(buffer.row(2).look, { fg: 1 });
  assert.deepEqual(buffer.row(3).look, {});
});
