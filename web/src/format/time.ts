/** Times and durations as people read them, in the viewer's zone. */

const DAY = 86_400;
const AGES: readonly [number, string][] = [[DAY, "d"], [3600, "h"], [60, "min"], [1, "s"]];

/** Seconds as text of at most two units: `340 ms`, `2.4 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`. */
export function duration(seconds: number): string {
  if (seconds < 0) return "0 s";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const whole = Math.floor(seconds);
  if (whole < 3600) return two(Math.floor(whole / 60), "min", whole % 60, "s");
  if (whole < DAY) return two(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "min");
  return two(Math.floor(whole / DAY), "d", Math.floor((whole % DAY) / 3600), "h");
}

function two(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}

/** How long ago, in the largest unit of which there are two or more: `90 s`, `5 min`, `3 d`. */
export function age(seconds: number): string {
  const past = Math.max(seconds, 0);
  const [length, unit] = AGES.find(([length]) => past >= 2 * length) ?? [1, "s"];
  return `${Math.floor(past / length)} ${unit}`;
}

/** Seconds from one date to another. */
export function between(from: string | number | Date, to: string | number | Date): number {
  return (new Date(to).getTime() - new Date(from).getTime()) / 1000;
}

/** A date in the viewer's zone: the time alone today, with the day otherwise. */
export function clock(at: string, now: Date = new Date(), zone?: string): string {
  const zoned = zone === undefined ? {} : { timeZone: zone };
  const day = (date: Date) => date.toLocaleDateString("sv", zoned);
  const date = new Date(at);
  const time = date.toLocaleTimeString("sv", zoned);
  return day(date) === day(now) ? time : `${day(date)} ${time}`;
}

/** The same moment in UTC, to compare it with a server's log. */
export function utc(at: string): string {
  return `${new Date(at).toISOString().replace("T", " ").replace("Z", "")} UTC`;
}
