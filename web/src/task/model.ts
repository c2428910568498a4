/** A task while somebody looks at it: its document, its output and its figures, kept up to date by events. */
import { signal } from "@preact/signals";
import { get, Problem, taskPath } from "../api/http";
import { EventStream } from "../api/stream";
import type { Missed, Piece, Sample, Series, Task } from "../api/types";
import { hasEnded } from "../facts";
import { AttemptLog } from "../log/model";
import { Figures } from "../plot/figures";

const AGAIN = 3000;

export class TaskModel {
  readonly task = signal<Task | null>(null);
  readonly error = signal<Error | null>(null);
  readonly figures = new Figures();
  /** Counts attempts whose output has begun, so that views look for it. */
  readonly begun = signal(0);
  private readonly logs = new Map<number, AttemptLog>();
  private stream: EventStream | null = null;
  private isClosed = false;
  private again = 0;
  private hasFigures = false;
  private readonly past = new Map<number, Figures>();

  constructor(readonly id: string) {
    void this.load();
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.again);
    this.stream?.close();
    for (const log of this.logs.values()) log.close();
  }

  /** Read the document again. */
  async load(): Promise<void> {
    try {
      const task = await get<Task>(taskPath(this.id));
      if (this.isClosed) return;
      this.task.value = task;
      this.error.value = null;
      const isNew = !this.stream && !hasEnded(task.status);
      if (hasEnded(task.status)) await this.finish(task);
      else this.follow();
      if (isNew) await this.readFigures(this.figures);
    } catch (error) {
      if (error instanceof Problem || !this.task.value) this.error.value = error as Error;
      if (!(error instanceof Problem) || error.status >= 500) this.loadLater();
    }
  }

  /** What is known of an attempt's output; of one that is over, it is read from storage. */
  log(attempt: number): AttemptLog {
    let log = this.logs.get(attempt);
    if (!log) {
      log = new AttemptLog(this.id, attempt);
      this.logs.set(attempt, log);
      const task = this.task.peek();
      const past = task?.attempts?.find((past) => past.attempt === attempt);
      if (past) log.finish(past.logs, true);
      else if (task && hasEnded(task.status)) log.finish(task.logs_removed_at ? null : (task.logs ?? null), false);
    }
    return log;
  }

  /** What an attempt used over time; of one that another followed, it is read from storage. */
  figuresOf(attempt: number): Figures {
    const task = this.task.peek();
    if (!task || attempt === currentAttempt(task)) return this.figures;
    let figures = this.past.get(attempt);
    if (!figures) {
      figures = new Figures();
      this.past.set(attempt, figures);
      void this.readFigures(figures, attempt).catch(() => this.past.delete(attempt));
    }
    return figures;
  }

  private loadLater(): void {
    clearTimeout(this.again);
    if (!this.isClosed) this.again = window.setTimeout(() => void this.load(), AGAIN);
  }

  private follow(): void {
    if (this.stream) return;
    const from = (position: string) => `${taskPath(this.id, "logs")}?follow=1${position && `&from=${encodeURIComponent(position)}`}`;
    this.stream = new EventStream(from, {
      piece: (data) => this.take(data as Piece),
      missed: (data) => this.log((data as Missed).attempt).miss(data as Missed),
      sample: (data) => this.figures.add(data as Sample),
      transition: () => void this.load(),
      end: () => void this.load(),
    });
  }

  private take(piece: Piece): void {
    const isNew = !this.logs.has(piece.attempt);
    this.log(piece.attempt).take(piece);
    if (isNew) this.begun.value++;
  }

  private async finish(task: Task): Promise<void> {
    const last = this.logs.get(currentAttempt(task));
    if (last?.streams.stdout.stage.peek() === "live") last.finish(task.logs ?? null, false);
    for (const past of task.attempts ?? []) {
      const log = this.logs.get(past.attempt);
      if (log?.streams.stdout.stage.peek() === "live") log.finish(past.logs, true);
    }
    if (this.hasFigures) return;
    this.hasFigures = true;
    await this.readFigures(this.figures);
  }

  private async readFigures(figures: Figures, attempt?: number): Promise<void> {
    const { series } = await get<{ series: Series | null }>(taskPath(this.id, "metrics") + (attempt ? `?attempt=${attempt}` : ""));
    if (series) figures.replace(series);
  }
}

/** The number of the attempt that the address names; without a name, or with one that there is not, the last. */
export function chosenAttempt(task: Task, query: URLSearchParams): number {
  const last = currentAttempt(task);
  return Math.min(Math.max(Number(query.get("attempt")) || last, 1), last);
}

/** The number of the attempt that is under way, or was the last. */
export function currentAttempt(task: Task): number {
  return task.attempt || 1;
}
