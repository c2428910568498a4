/**
 * Colours of a terminal as spans of text. Never makes markup: what shows a span makes an element and sets its text.
 *
 * Colours and weight are obeyed. All other sequences that are complete are left out, because they move a cursor that is not there.
 */
import { visible } from "../format/text";

/** How text looks; a colour is one of the 16 by number, or any other as `rgb(…)`. */
export interface Look {
  readonly fg?: number | string;
  readonly bg?: number | string;
  readonly bold?: true;
  readonly dim?: true;
  readonly italic?: true;
  readonly underline?: true;
  readonly inverse?: true;
  readonly strike?: true;
}

export interface Span {
  text: string;
  look: Look;
}

export const PLAIN: Look = {};

// CSI … final byte, OSC and its like … BEL or ESC \, and the short ones
const SEQUENCE = /\u001b(?:\[([0-?]*)[ -/]*([@-~])|[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)|[ -/]+[0-~]|[0-OQ-WYZ\\`-~])/g;

/** The spans of a line that begins with a look, and the look that the next line begins with. */
export function spans(line: string, look: Look = PLAIN): [Span[], Look] {
  const found: Span[] = [];
  let from = 0;
  const add = (text: string) => {
    if (text) found.push({ text: visible(text), look });
  };
  for (const match of line.matchAll(SEQUENCE)) {
    add(line.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[2] === "m") look = changed(look, match[1] ?? "");
  }
  add(line.slice(from));
  return [found, look];
}

/** The text of a line without what a terminal would obey. */
export function plain(line: string): string {
  return line.includes("\u001b") ? line.replace(SEQUENCE, "") : line;
}

/** The look that the line after this one begins with. */
export function lookAfter(line: string, look: Look): Look {
  for (const match of line.matchAll(SEQUENCE)) if (match[2] === "m") look = changed(look, match[1] ?? "");
  return look;
}

type Changed = { -readonly [key in keyof Look]: Look[key] };

function changed(look: Look, parameters: string): Look {
  const codes = parameters.split(/[;:]/).map(Number);
  let next: Changed = { ...look };
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at] as number;
    if (code === 0) next = {};
    else if (code === 38 || code === 48) {
      const [colour, used] = extended(codes.slice(at + 1));
      if (colour !== undefined) next[code === 38 ? "fg" : "bg"] = colour;
      at += used;
    } else apply(next, code);
  }
  return Object.keys(next).length ? next : PLAIN;
}

function apply(look: Changed, code: number): void {
  if (code === 1) look.bold = true;
  else if (code === 2) look.dim = true;
  else if (code === 3) look.italic = true;
  else if (code === 4) look.underline = true;
  else if (code === 7) look.inverse = true;
  else if (code === 9) look.strike = true;
  else if (code === 22) delete look.bold, delete look.dim;
  else if (code === 23) delete look.italic;
  else if (code === 24) delete look.underline;
  else if (code === 27) delete look.inverse;
  else if (code === 29) delete look.strike;
  else if (code >= 30 && code <= 37) look.fg = code - 30;
  else if (code === 39) delete look.fg;
  else if (code >= 40 && code <= 47) look.bg = code - 40;
  else if (code === 49) delete look.bg;
  else if (code >= 90 && code <= 97) look.fg = code - 82;
  else if (code >= 100 && code <= 107) look.bg = code - 92;
}

/** A colour of 256 or of 16 million, and how many codes it took. */
function extended(codes: number[]): [number | string | undefined, number] {
  if (codes[0] === 5) return [indexed(codes[1] ?? 0), 2];
  if (codes[0] === 2) return [rgb(codes.slice(1, 4)), 4];
  return [undefined, codes.length];
}

function indexed(index: number): number | string | undefined {
  if (!(index >= 0 && index <= 255)) return undefined;
  if (index < 16) return index;
  if (index >= 232) return rgb(Array(3).fill(8 + (index - 232) * 10));
  const cube = index - 16;
  return rgb([Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map((level) => (level ? 55 + level * 40 : 0)));
}

function rgb(parts: number[]): string {
  const [red = 0, green = 0, blue = 0] = parts.map((part) => Math.min(Math.max(Math.trunc(part) || 0, 0), 255));
  return `rgb(${red}, ${green}, ${blue})`;
}
