/** What the API answers, as far as the page reads it. Dates are text in ISO 8601. */
import type { State } from "../facts";

export type StreamName = "stdout" | "stderr";
export const STREAMS: readonly StreamName[] = ["stdout", "stderr"];

/** Text, or bytes in base64. */
export type Content = string | { base64: string };

export interface Limits {
  [name: string]: number | string | null | undefined;
}

/** The fields of a task that its owner writes. */
export interface TaskRequest {
  image: string;
  command?: string | string[] | null;
  entrypoint?: string | string[] | null;
  env?: Record<string, string> | null;
  stdin?: Content | null;
  working_dir?: string | null;
  user?: string | null;
  network?: boolean | null;
  init?: boolean | null;
  files?: Record<string, Content> | null;
  artifacts?: string[] | null;
  runtime?: string | null;
  on_output_limit?: string | null;
  retries?: number | null;
  labels?: Record<string, string> | null;
  keep?: number | string | null;
  limits?: Limits | null;
}

export interface Entry {
  seq: number;
  trigger: string;
  source: State;
  status: State;
  at: string;
  attempt?: number;
}

export interface LogObject {
  key: string;
  bytes: number;
  sha256: string;
  truncated: boolean;
  dropped?: number;
}

export interface Logs {
  bucket: string;
  stdout: LogObject;
  stderr: LogObject;
}

export interface Usage {
  max: number;
  avg: number;
}

export interface Metrics {
  cpu_percent: Usage | null;
  memory_bytes: Usage | null;
  samples: number;
  duration_s: number;
  cpu_time_s?: number | null;
  throttled_s?: number | null;
  memory_peak_bytes?: number | null;
  pids_peak?: number | null;
}

export interface Artifact {
  path: string;
  bytes: number;
  sha256: string;
}

export interface Refusal {
  path: string;
  why: string;
}

/** What is told of an attempt, whether it is a past one or the present one. */
export interface Attempt {
  attempt: number;
  started_at: string | null;
  ended_at: string | null;
  exit_code: number | null;
  cause: string | null;
  message: string;
  logs: Logs | null;
  metrics: Metrics | null;
  handed_over?: boolean;
}

export interface Task extends TaskRequest {
  _id: string;
  status: State;
  seq?: number | null;
  attempt?: number | null;
  history?: Entry[] | null;
  created_at?: string | null;
  started_at?: string | null;
  finished_at?: string | null;
  worker?: string | null;
  finished_by?: string | null;
  container?: { id: string; name: string; engine: string } | null;
  exit_code?: number | null;
  cause?: string | null;
  message?: string | null;
  evidence?: Record<string, unknown> | null;
  logs?: Logs | null;
  metrics?: Metrics | null;
  artifacts_stored?: Artifact[] | null;
  artifacts_refused?: Refusal[] | null;
  attempts?: Attempt[] | null;
  engine?: string | null;
  cancel_requested_at?: string | null;
  logs_removed_at?: string | null;
  artifacts_removed_at?: string | null;
  keep_until?: string | null;
}

/** One change of one task, as it is published. */
export interface Transition {
  task_id: string;
  seq: number;
  trigger: string | null;
  source: State | null;
  status: State;
  at: string;
  exit_code?: number | null;
  cause?: string | null;
  message?: string | null;
}

export interface Piece {
  attempt: number;
  stream: StreamName;
  offset: number;
  data: string;
}

export interface Missed {
  attempt: number;
  stream: StreamName;
  bytes: number;
}

/** Figures while it runs. */
export interface Sample {
  attempt: number;
  t: number;
  cpu_percent: number | null;
  memory_bytes: number | null;
  pids: number | null;
}

export interface Series {
  attempt: number;
  interval: number;
  columns: string[];
  points: (number | null)[][];
}

export interface Worker {
  name: string;
  host: string;
  pid: number | null;
  engine: string | null;
  slots: number | null;
  tasks: string[];
  state: string;
  started_at: string | null;
  last_heartbeat: string | null;
}

export interface Quantiles {
  p50: number | null;
  p95: number | null;
}

export interface Stats {
  at: string;
  /** Seconds; less than was asked for when more tasks ended in that time than can be looked at. */
  window: number;
  queue: { length: number; oldest_seconds: number | null };
  tasks: Record<string, number>;
  /** The statuses of which there are more than `tasks` tells. */
  tasks_more?: string[];
  rates: { started_per_minute: number; finished_per_minute: number };
  wait_seconds: Quantiles;
  run_seconds: Quantiles;
  ends: Record<string, number>;
  causes: Record<string, number>;
  over_time: { at: string; started: number; finished: number; failed: number }[];
  workers: Worker[];
}

export interface Whoami {
  scope: "read" | "submit" | "admin";
  name: string;
  version: string;
  deployment: string;
  read_only: boolean;
}

export interface Page {
  tasks: Task[];
  next: string | null;
}
