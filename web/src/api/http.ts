/** Requests to the API. Addresses are relative, so that the page works below any path. */
import { connection, session } from "../state";

/** One field of a request that was refused. */
export interface FieldError {
  field: string;
  message: string;
}

/** What the API answered in place of what was asked for; its `message` is a sentence for people. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly errors: FieldError[] = [],
  ) {
    super(message);
  }
}

/** No answer at all. */
export class Unreachable extends Error {
  constructor() {
    super("The server does not answer.");
  }
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await answer(path, signal ? { signal } : {})).json() as Promise<T>;
}

export async function post<T>(path: string, body?: unknown): Promise<T> {
  const content = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  return (await answer(path, { method: "POST", ...content })).json() as Promise<T>;
}

export async function remove(path: string): Promise<void> {
  await answer(path, { method: "DELETE" });
}

/** The answer itself, for what is no JSON. Raises Problem and Unreachable. */
export async function answer(path: string, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(path, init).catch((error: unknown) => {
    if (init.signal?.aborted) throw error;
    connection.value = "lost";
    throw new Unreachable();
  });
  if (response.status === 401) session.value = "needed";
  if (!response.ok) throw await problem(response);
  connection.value = "here";
  return response;
}

async function problem(response: Response): Promise<Problem> {
  const told = (await response.json().catch(() => ({}))) as { title?: string; detail?: string; errors?: FieldError[] };
  const isOwn = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  if (isOwn) connection.value = "here";
  else if (response.status >= 502 && response.status <= 504) connection.value = "lost"; // a proxy, whose server is away
  return new Problem(response.status, told.detail ?? told.title ?? `The server answers ${response.status}.`, told.errors);
}

export function taskPath(id: string, ...rest: string[]): string {
  return ["v1/tasks", id, ...rest].map((part, at) => (at ? encodeURIComponent(part) : part)).join("/");
}

/** A path of several parts, each of which may have any character but the slash. */
export function artifactPath(id: string, path: string): string {
  return `${taskPath(id, "artifacts")}/${path.split("/").map(encodeURIComponent).join("/")}`;
}
