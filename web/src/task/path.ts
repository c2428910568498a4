/** Which way a task has gone, and how long it was in each state. */
import type { Task } from "../api/types";
import { hasEnded, INITIAL, type State } from "../facts";
import { between } from "../format/time";

/** One stay in a state; `until` is null while it lasts. */
export interface Stay {
  state: State;
  from: string | null;
  until: string | null;
  attempt: number;
}

export interface Move {
  source: State;
  dest: State;
  trigger: string;
}

/** Every stay, in order, made from what is stored. */
export function stays(task: Task): Stay[] {
  const found: Stay[] = [{ state: INITIAL, from: task.created_at ?? null, until: null, attempt: 1 }];
  for (const entry of task.history ?? []) {
    const last = found[found.length - 1] as Stay;
    last.until = entry.at;
    found.push({ state: entry.status, from: entry.at, until: null, attempt: entry.attempt ?? 1 });
  }
  return found;
}

export function moves(task: Task): Move[] {
  return (task.history ?? []).map((entry) => ({ source: entry.source, dest: entry.status, trigger: entry.trigger }));
}

/** Seconds in a state over all attempts; null where it never was, or is not over but has ended. */
export function timeIn(task: Task, state: State, now: number): number | null {
  if (hasEnded(state)) return null;
  const own = stays(task).filter((stay) => stay.state === state && stay.from !== null);
  if (!own.length) return null;
  return own.reduce((sum, stay) => sum + Math.max(between(stay.from as string, stay.until ?? now), 0), 0);
}

export function visits(task: Task, state: State): number {
  return stays(task).filter((stay) => stay.state === state).length;
}

/** Seconds from the start of the present attempt to its end, or until now; null before it starts. */
export function ranFor(task: Task, now: number): number | null {
  if (task.metrics) return task.metrics.duration_s;
  if (!task.started_at) return null;
  return Math.max(between(task.started_at, task.finished_at ?? now), 0);
}
