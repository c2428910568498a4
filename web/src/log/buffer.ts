/**
 * One stream of output as rows, in bounded memory: bytes are kept as they came, and only what is looked at becomes text.
 *
 * A row is a line, or a part of a very long one. When there is too much the oldest block of rows goes, and is counted.
 */
import { lookAfter, PLAIN, type Look } from "./ansi";

export interface Bounds {
  bytes: number;
  rows: number;
}

export const BOUNDS: Bounds = { bytes: 32 << 20, rows: 400_000 };
const BLOCK = 256 << 10;
const LONGEST = 16 << 10;
const NEWLINE = 10;
const ESCAPE = 27;

/** What a row is: text with the number of its line (0: it goes on with the line above), or bytes that are missing here. */
export interface Row {
  line: number;
  text: string;
  look: Look;
  missing: number;
}

/** Rows whose bytes lie together. */
class Block {
  bytes = new Uint8Array(BLOCK + LONGEST + 4);
  used = 0;
  starts: number[] = [];
  lines: number[] = [];
  looks: (Look | undefined)[] | null = null;
  missing: Map<number, number> | null = null;

  constructor(readonly firstRow: number) {}

  seal(): void {
    this.bytes = this.bytes.slice(0, this.used);
  }

  row(index: number): Uint8Array {
    return this.bytes.subarray(this.starts[index], this.starts[index + 1] ?? this.used);
  }
}

export class LineBuffer {
  /** Of the stream: where the next byte belongs. */
  end = 0;
  /** Bytes that did not come. */
  skipped = 0;
  droppedRows = 0;
  droppedBytes = 0;
  /** Lines so far, the last one included although it may go on. */
  lines = 0;
  private blocks: Block[] = [new Block(0)];
  private kept = 0;
  private look: Look = PLAIN;
  private isOpen = false;
  private hasEscape = false;
  private readonly decoder = new TextDecoder();

  constructor(private readonly bounds: Bounds = BOUNDS) {}

  /** Rows that can be looked at: from `droppedRows` up to this. */
  get rows(): number {
    const last = this.last;
    return last.firstRow + last.starts.length;
  }

  get isEmpty(): boolean {
    return this.rows === 0;
  }

  /** Take bytes that belong at an offset: what is there already is passed over, and what is missing before them is a row. */
  take(offset: number, bytes: Uint8Array): void {
    if (offset > this.end) this.skip(offset - this.end);
    const known = this.end - offset;
    if (known < bytes.length) this.append(known > 0 ? bytes.subarray(known) : bytes);
  }

  append(bytes: Uint8Array): void {
    this.end += bytes.length;
    for (let from = 0; from < bytes.length; ) {
      const newline = bytes.indexOf(NEWLINE, from);
      const to = newline < 0 ? bytes.length : newline;
      this.write(bytes.subarray(from, to));
      if (newline < 0) return;
      if (!this.isOpen) this.open(++this.lines);
      this.close();
      this.isOpen = false;
      from = to + 1;
    }
  }

  /** Bytes that will not come. */
  skip(bytes: number): void {
    this.end += bytes;
    this.skipped += bytes;
    if (this.isOpen) this.close();
    this.open(0);
    const block = this.last;
    (block.missing ??= new Map()).set(block.starts.length - 1, bytes);
    this.isOpen = false;
  }

  row(index: number): Row {
    const block = this.blockOf(index);
    const at = index - block.firstRow;
    const text = this.decoder.decode(block.row(at)).replace(/\r$/, "");
    return { line: block.lines[at] ?? 0, text, look: block.looks?.[at] ?? PLAIN, missing: block.missing?.get(at) ?? 0 };
  }

  /** The row where a line begins; null when it is not here. */
  rowOf(line: number): number | null {
    for (const block of this.blocks) {
      const at = block.lines.indexOf(line);
      if (at >= 0) return block.firstRow + at;
    }
    return null;
  }

  private get last(): Block {
    return this.blocks[this.blocks.length - 1] as Block;
  }

  private blockOf(index: number): Block {
    let low = 0;
    let high = this.blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.blocks[middle] as Block).firstRow <= index) low = middle;
      else high = middle - 1;
    }
    return this.blocks[low] as Block;
  }

  private write(bytes: Uint8Array): void {
    while (bytes.length) {
      if (!this.isOpen) this.open(++this.lines);
      const block = this.last;
      const length = block.used - (block.starts[block.starts.length - 1] as number);
      const fits = fitting(bytes, Math.max(LONGEST - length, 0));
      if (length + fits > LONGEST + 3 || fits === 0) {
        this.close();
        this.open(0);
        continue;
      }
      const part = bytes.subarray(0, fits);
      block.bytes.set(part, block.used);
      block.used += part.length;
      this.kept += part.length;
      this.hasEscape ||= part.includes(ESCAPE);
      bytes = bytes.subarray(part.length);
    }
  }

  private open(line: number): void {
    if (this.last.used >= BLOCK || this.last.starts.length >= BLOCK / 16) this.nextBlock();
    const block = this.last;
    block.starts.push(block.used);
    block.lines.push(line);
    if (this.look !== PLAIN) (block.looks ??= [])[block.starts.length - 1] = this.look;
    this.isOpen = true;
    this.hasEscape = false;
  }

  private close(): void {
    if (!this.hasEscape) return;
    const block = this.last;
    this.look = lookAfter(this.decoder.decode(block.row(block.starts.length - 1)), this.look);
    this.hasEscape = false;
  }

  private nextBlock(): void {
    this.last.seal();
    this.blocks.push(new Block(this.rows));
    while (this.blocks.length > 1 && (this.kept > this.bounds.bytes || this.rows - this.droppedRows > this.bounds.rows)) {
      const gone = this.blocks.shift() as Block;
      this.kept -= gone.used;
      this.droppedBytes += gone.used;
      this.droppedRows += gone.starts.length;
    }
  }
}

/** How many bytes fit: the room, and what of a character of UTF-8 is left then. */
function fitting(bytes: Uint8Array, room: number): number {
  let end = room;
  while (end < room + 3 && isContinuation(bytes[end])) end++;
  return Math.min(end, bytes.length);
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}
