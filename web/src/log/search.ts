/** Where a text is in a stream, looked for in slices so that the page stays quick. */
import { signal } from "@preact/signals";
import { plain } from "./ansi";
import type { LineBuffer } from "./buffer";

export const MOST = 10_000;
const SLICE_MS = 12;

export class Search {
  /** Rows with the text, in order. */
  readonly found: number[] = [];
  readonly version = signal(0);
  isDone = false;
  private next: number;
  private isOver = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly buffer: LineBuffer,
    readonly text: string,
  ) {
    this.next = buffer.droppedRows;
    this.goOn();
  }

  /** Look at what has come since. */
  goOn(): void {
    if (this.timer === undefined && !this.isOver) this.timer = setTimeout(this.slice);
  }

  close(): void {
    this.isOver = true;
    clearTimeout(this.timer);
  }

  private readonly slice = (): void => {
    this.timer = undefined;
    const until = performance.now() + SLICE_MS;
    const wanted = this.text.toLowerCase();
    this.next = Math.max(this.next, this.buffer.droppedRows);
    // the last row may still grow, so it is looked at again
    const last = this.buffer.rows;
    while (this.next < last && this.found.length < MOST && performance.now() < until) {
      if (plain(this.buffer.row(this.next).text).toLowerCase().includes(wanted) && this.found[this.found.length - 1] !== this.next) {
        this.found.push(this.next);
      }
      this.next++;
    }
    this.isDone = this.next >= last || this.found.length >= MOST;
    if (this.isDone) this.next = Math.max(last - 1, 0);
    else this.goOn();
    this.version.value++;
  };
}

/** The parts of a text, each with whether it is what was looked for. */
export function parts(text: string, wanted: string): [string, boolean][] {
  if (!wanted) return [[text, false]];
  const found: [string, boolean][] = [];
  const lower = text.toLowerCase();
  const low = wanted.toLowerCase();
  if (lower.length !== text.length) return [[text, false]]; // a letter whose small form is longer: places would not agree
  let from = 0;
  for (let at = lower.indexOf(low); at >= 0; at = lower.indexOf(low, from)) {
    if (at > from) found.push([text.slice(from, at), false]);
    from = at + low.length;
    found.push([text.slice(at, from), true]);
  }
  if (from < text.length) found.push([text.slice(from), false]);
  return found;
}
