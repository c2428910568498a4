/** What a task uses over time, in columns; bounded, whatever the time. */
import { signal } from "@preact/signals";
import type { Sample, Series } from "../api/types";

export const PLOTTED = ["cpu_percent", "memory_bytes", "pids"] as const;
export type Plotted = (typeof PLOTTED)[number];
type Column = (number | null)[];

const MOST = 4000;

export class Figures {
  readonly version = signal(0);
  attempt = 0;
  times: number[] = [];
  columns: Record<Plotted, Column> = empty();

  /** A later attempt begins at zero, and an older one adds nothing. */
  add(sample: Sample): void {
    if (sample.attempt < this.attempt) return;
    if (sample.attempt > this.attempt) this.begin(sample.attempt);
    if (this.times.length && sample.t <= (this.times[this.times.length - 1] as number)) return;
    this.times.push(sample.t);
    for (const name of PLOTTED) this.columns[name].push(sample[name]);
    if (this.times.length > MOST) this.thin();
    this.version.value++;
  }

  /** What was stored, in place of what was seen live. */
  replace(series: Series): void {
    this.begin(series.attempt);
    const at = (name: string) => series.columns.indexOf(name);
    this.times = series.points.map((point) => point[at("t")] ?? 0);
    for (const name of PLOTTED) this.columns[name] = series.points.map((point) => point[at(name)] ?? null);
    this.version.value++;
  }

  has(name: Plotted): boolean {
    return this.columns[name].some((value) => value !== null);
  }

  private begin(attempt: number): void {
    this.attempt = attempt;
    this.times = [];
    this.columns = empty();
  }

  /** Every second point goes. */
  private thin(): void {
    const stays = (_: unknown, at: number) => at % 2 === 0;
    this.times = this.times.filter(stays);
    for (const name of PLOTTED) this.columns[name] = this.columns[name].filter(stays);
  }
}

function empty(): Record<Plotted, Column> {
  return { cpu_percent: [], memory_bytes: [], pids: [] };
}
