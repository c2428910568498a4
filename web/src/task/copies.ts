/** A task's request as what hands it in again: a command, curl, Python. */
import type { Content, TaskRequest } from "../api/types";
import { LIMITS } from "../facts";
import { quoted } from "../format/text";

const FIELDS = [
  "image", "command", "entrypoint", "env", "stdin", "working_dir", "user", "network", "init", "files", "artifacts", "runtime",
  "on_output_limit", "retries", "labels", "keep", "limits",
] as const;

/** The fields that an owner writes, without those that say nothing. */
export function requestOf(task: TaskRequest): TaskRequest {
  const given = FIELDS.filter((name) => says(task[name])).map((name) => [name, task[name]]);
  return Object.fromEntries(given) as TaskRequest;
}

function says(value: unknown): boolean {
  if (value === null || value === undefined) return false;
  return typeof value !== "object" || Object.keys(value).length > 0 || Array.isArray(value);
}

/** `orchestrator run …`, with the whole task on stdin where flags cannot say it. */
export function asRun(task: TaskRequest): string {
  const request = requestOf(task);
  const words = flags(request);
  if (words) return ["orchestrator run", ...words].join(" ");
  return `orchestrator run --from - <<'TASK'\n${JSON.stringify(request, null, 2)}\nTASK`;
}

function flags(request: TaskRequest): string[] | null {
  if (request.files || request.stdin !== undefined || typeof request.command === "string") return null;
  if (Array.isArray(request.entrypoint) && request.entrypoint.length > 1) return null;
  if (request.command && !request.command.length) return null;
  const words: string[] = [];
  const add = (flag: string, value: unknown) => words.push(flag, quoted(String(value)));
  const entrypoint = Array.isArray(request.entrypoint) ? (request.entrypoint[0] ?? "") : request.entrypoint;
  if (entrypoint !== undefined) add("--entrypoint", entrypoint);
  for (const [name, value] of Object.entries(request.env ?? {})) add("--env", `${name}=${value}`);
  if (request.working_dir) add("--workdir", request.working_dir);
  if (request.user) add("--user", request.user);
  if (request.network !== undefined) add("--network", request.network ? "bridge" : "none");
  if (request.init !== undefined) words.push(request.init ? "--init" : "--no-init");
  for (const path of request.artifacts ?? []) add("--artifact", path);
  if (request.runtime) add("--runtime", request.runtime);
  if (request.on_output_limit) add("--on-output-limit", request.on_output_limit);
  if (request.retries) add("--retries", request.retries);
  for (const [name, value] of Object.entries(request.labels ?? {})) add("--label", `${name}=${value}`);
  if (request.keep !== undefined) add("--keep", request.keep);
  for (const [name, value] of Object.entries(request.limits ?? {})) {
    if (value === null || value === undefined) continue;
    const known = LIMITS[name];
    if (!known) return null;
    add(known.flag, value);
  }
  return [...words, quoted(request.image), ...(request.command ?? []).map(quoted)];
}

export function asCurl(task: TaskRequest, origin: string): string {
  const body = JSON.stringify(requestOf(task), null, 2);
  return [
    `curl --fail-with-body ${quoted(new URL("v1/tasks", origin).href)} \\`,
    `  -H "Authorization: Bearer $ORCHESTRATOR_TOKEN" -H 'Content-Type: application/json' \\`,
    `  -d ${quoted(body)}`,
  ].join("\n");
}

export function asPython(task: TaskRequest, origin: string): string {
  return [
    `# with ORCHESTRATOR_TOKEN, and ORCHESTRATOR_URL=${origin.replace(/\/$/, "")}, in the environment`,
    "from orchestrator import Client",
    "",
    "with Client.from_env() as client:",
    `    task = client.submit(${python(requestOf(task), "    ")})`,
    "    print(task.id)",
  ].join("\n");
}

/** A value as a literal of Python. */
export function python(value: unknown, indent = ""): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const deeper = `${indent}    `;
  const isList = Array.isArray(value);
  const parts = isList
    ? value.map((each) => python(each, deeper))
    : Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${python(each, deeper)}`);
  const [open, close] = isList ? "[]" : "{}";
  const short = `${open}${parts.join(", ")}${close}`;
  if (short.length + indent.length <= 88 && !short.includes("\n")) return short;
  return `${open}\n${parts.map((part) => `${deeper}${part},`).join("\n")}\n${indent}${close}`;
}

/** Text of a file or of stdin; of bytes, how many there are. */
export function contentText(content: Content): string {
  if (typeof content === "string") return content;
  return `(${Math.floor((content.base64.replace(/=+$/, "").length * 3) / 4)} bytes that are not text)`;
}
