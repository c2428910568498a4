/** What the page knows of the code that it was built from: states, transitions, causes and limits. */
import facts from "./generated/facts.json";

export type State = "queued" | "running" | "collecting" | "uploading" | "succeeded" | "failed" | "timed_out";

export interface Row {
  trigger: string;
  source: State;
  dest: State;
  guard: string | null;
  work: string;
}

export const INITIAL = facts.initial as State;
export const STATES = facts.states.map((state) => state.name as State);
export const ROWS = facts.rows as Row[];
export const CAUSES: Readonly<Record<string, string>> = facts.causes;
export const LIMITS: Readonly<Record<string, { flag: string; help: string }>> = facts.limits;

const ENDED = new Set(facts.states.filter((state) => state.ended).map((state) => state.name));

/** Whether a task in this state has ended. */
export function hasEnded(state: string): boolean {
  return ENDED.has(state);
}

/** A state as people read it. */
export function inWords(state: string): string {
  return state.replaceAll("_", " ");
}
