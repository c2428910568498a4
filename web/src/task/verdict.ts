/** What became of a task in one sentence, and the evidence for it. */
import type { Task } from "../api/types";
import { CAUSES, hasEnded, inWords } from "../facts";
import { duration } from "../format/time";
import { size } from "../format/size";
import { ranFor } from "./path";

export interface Evidence {
  name: string;
  value: string;
}

/** The worker's own sentence where there is one, with a capital and a full stop. */
export function sentence(task: Task, now: number): string {
  if (hasEnded(task.status)) return asSentence(task.message || (task.cause && CAUSES[task.cause]) || `it ${inWords(task.status)}`);
  return asSentence(soFar(task, now));
}

function soFar(task: Task, now: number): string {
  const asked = task.cancel_requested_at ? "; somebody asked for it to be cancelled" : "";
  const ran = ranFor(task, now);
  switch (task.status) {
    case "queued":
      return `${waiting(task)}${asked}`;
    case "running":
      return `it has been running for ${duration(ran ?? 0)}${task.worker ? ` on ${task.worker}` : ""}${asked}`;
    case "collecting":
      return "the program has ended; its output is being collected";
    default:
      return "the program has ended; its output is being stored";
  }
}

function waiting(task: Task): string {
  const last = task.attempts?.[task.attempts.length - 1];
  return last ? `it waits for attempt ${last.attempt + 1}; attempt ${last.attempt}: ${last.message}` : "it waits for a worker";
}

function asSentence(text: string): string {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/** Names and values beside the sentence, the telling ones first. */
export function evidence(task: Task): Evidence[] {
  const found: Evidence[] = [];
  const add = (name: string, value: unknown) => {
    if (value !== null && value !== undefined && value !== "") found.push({ name: name.replace(/ (s|bytes)$/, ""), value: shown(name, value) });
  };
  add("exit code", task.exit_code);
  const { counted, ...rest } = task.evidence ?? {};
  for (const [name, value] of Object.entries(rest)) add(inWords(name), value);
  if (counted && typeof counted === "object") for (const [name, value] of Object.entries(counted)) add(inWords(name), value);
  return found;
}

function shown(name: string, value: unknown): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number" && /bytes|memory/.test(name)) return size(value);
  if (typeof value === "number" && / s$/.test(name)) return duration(value);
  if (typeof value === "number") return String(Number(value.toFixed(3)));
  return typeof value === "string" ? value : JSON.stringify(value);
}
