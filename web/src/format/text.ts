/** Text from tasks, made safe to look at: nothing in it moves, hides or reorders what stands around it. */

const MARKS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Control characters as pictures, and what would turn the direction of reading as its code. */
export function visible(text: string): string {
  return text.replace(MARKS, picture);
}

function picture(mark: string): string {
  const code = mark.codePointAt(0) ?? 0;
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `[U+${code.toString(16).toUpperCase().padStart(4, "0")}]`;
}

/** Text on one line. */
export function oneLine(text: string): string {
  return visible(text.replace(/\s*\n\s*/g, " \u23ce "));
}

const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;

/** A word quoted for a POSIX shell. */
export function quoted(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** A command on one line: as it was written, or its words quoted for a shell. */
export function commandLine(command: string | string[] | null | undefined): string {
  return Array.isArray(command) ? command.map(quoted).join(" ") : (command ?? "");
}
