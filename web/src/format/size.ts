/** Sizes and numbers as people read them. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Bytes in powers of 1024: `512 B`, `1.5 MiB`. */
export function size(bytes: number): string {
  const exponent = bytes >= 1 ? Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1) : 0;
  const scaled = bytes / 1024 ** exponent;
  return `${+scaled.toFixed(exponent === 0 || scaled >= 100 ? 0 : 1)} ${UNITS[exponent]}`;
}

/** A whole number with its thousands apart: `1,234,567`. */
export function count(number: number): string {
  return number.toLocaleString("en");
}

/** A number and its noun: `1 line`, `2 lines`. */
export function counted(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** A rate or percentage with as many digits as it deserves. */
export function figure(number: number): string {
  return number >= 100 || Number.isInteger(number) ? count(Math.round(number)) : String(+number.toFixed(number >= 10 ? 1 : 2));
}
