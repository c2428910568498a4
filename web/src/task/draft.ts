/** A request while it is written: text in fields, and what that text means. */
import type { Content, Limits, TaskRequest } from "../api/types";
import { LIMITS } from "../facts";

export interface Draft {
  image: string;
  command: string;
  /** Whether the command is a line for `sh -c`, rather than a word on each line. */
  isShell: boolean;
  entrypoint: string;
  env: string;
  labels: string;
  artifacts: string;
  stdin: string;
  working_dir: string;
  user: string;
  network: boolean;
  init: boolean;
  runtime: string;
  on_output_limit: string;
  retries: string;
  keep: string;
  limits: Record<string, string>;
  files: { path: string; content: string }[];
  /** What no field shows, such as files that are not text; handed in as it is. */
  kept: { files?: Record<string, Content>; stdin?: Content; entrypoint?: string[] };
}

export function blank(): Draft {
  return {
    image: "", command: "", isShell: true, entrypoint: "", env: "", labels: "", artifacts: "", stdin: "", working_dir: "", user: "",
    network: false, init: true, runtime: "", on_output_limit: "", retries: "", keep: "", limits: {}, files: [], kept: {},
  };
}

/** The draft of a request that was made before. */
export function draftOf(task: TaskRequest): Draft {
  const files = Object.entries(task.files ?? {});
  const kept: Draft["kept"] = {};
  const bytes = files.filter(([, content]) => typeof content !== "string");
  if (bytes.length) kept.files = Object.fromEntries(bytes);
  if (task.stdin && typeof task.stdin !== "string") kept.stdin = task.stdin;
  if (Array.isArray(task.entrypoint)) kept.entrypoint = task.entrypoint;
  const limits = Object.entries(task.limits ?? {}).filter(([, value]) => value !== null && value !== undefined);
  return {
    ...blank(),
    image: task.image,
    command: Array.isArray(task.command) ? task.command.join("\n") : (task.command ?? ""),
    isShell: !Array.isArray(task.command),
    entrypoint: typeof task.entrypoint === "string" ? task.entrypoint : "",
    env: pairs(task.env),
    labels: pairs(task.labels),
    artifacts: (task.artifacts ?? []).join("\n"),
    stdin: typeof task.stdin === "string" ? task.stdin : "",
    working_dir: task.working_dir ?? "",
    user: task.user ?? "",
    network: task.network ?? false,
    init: task.init ?? true,
    runtime: task.runtime ?? "",
    on_output_limit: task.on_output_limit ?? "",
    retries: task.retries ? String(task.retries) : "",
    keep: task.keep === null || task.keep === undefined ? "" : String(task.keep),
    limits: Object.fromEntries(limits.map(([name, value]) => [name, String(value)])),
    files: files.flatMap(([path, content]) => (typeof content === "string" ? [{ path, content }] : [])),
    kept,
  };
}

/** What is handed in: only fields that say something. */
export function requestOfDraft(draft: Draft): TaskRequest {
  const files = { ...draft.kept.files, ...Object.fromEntries(draft.files.filter(({ path }) => path).map(({ path, content }) => [path, content])) };
  const limits = limitsOf(draft);
  const command = commandOf(draft);
  return {
    image: draft.image.trim(),
    ...(command !== null && { command }),
    ...(draft.entrypoint ? { entrypoint: draft.entrypoint } : draft.kept.entrypoint && { entrypoint: draft.kept.entrypoint }),
    ...given("env", unpaired(draft.env)),
    ...given("labels", unpaired(draft.labels)),
    ...given("files", files),
    ...given("limits", limits),
    ...(lines(draft.artifacts).length > 0 && { artifacts: lines(draft.artifacts) }),
    ...(draft.stdin ? { stdin: draft.stdin } : draft.kept.stdin && { stdin: draft.kept.stdin }),
    ...(draft.working_dir && { working_dir: draft.working_dir }),
    ...(draft.user && { user: draft.user }),
    ...(draft.network && { network: true }),
    ...(!draft.init && { init: false }),
    ...(draft.runtime && { runtime: draft.runtime }),
    ...(draft.on_output_limit && { on_output_limit: draft.on_output_limit }),
    ...(draft.retries.trim() && { retries: numberOr(draft.retries) as number }),
    ...(draft.keep.trim() && { keep: numberOr(draft.keep) }),
  };
}

function commandOf({ command, isShell }: Draft): string | string[] | null {
  if (!command.trim()) return null;
  return isShell ? command : command.replace(/\n$/, "").split("\n");
}

function limitsOf(draft: Draft): Limits {
  const entries = Object.keys(LIMITS).map((name) => [name, (draft.limits[name] ?? "").trim()] as const);
  return Object.fromEntries(entries.filter(([, text]) => text).map(([name, text]) => [name, numberOr(text)]));
}

/** A number where the text is one, such as `0.5`; text such as `30s` stays. */
function numberOr(text: string): number | string {
  return /^[0-9]+(\.[0-9]+)?$/.test(text.trim()) ? Number(text) : text.trim();
}

function given(name: string, value: object): object {
  return Object.keys(value).length ? { [name]: value } : {};
}

function lines(text: string): string[] {
  return text.split("\n").map((line) => line.trim()).filter(Boolean);
}

function pairs(values: Record<string, string> | null | undefined): string {
  return Object.entries(values ?? {}).map(([name, value]) => `${name}=${value}`).join("\n");
}

function unpaired(text: string): Record<string, string> {
  const found = text.split("\n").filter((line) => line.trim()).map((line) => line.split(/=(.*)/s));
  return Object.fromEntries(found.map(([name = "", value = ""]) => [name.trim(), value]));
}
