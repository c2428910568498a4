// `node client.js speak`, `cancel` or `refuse`: does that, and prints what became of it as JSON.
import createClient from "openapi-fetch";

import type { components, paths } from "./api.js";

type Event = components["schemas"]["Event"];
type Problem = components["schemas"]["Problem"];

const baseUrl = process.env.ORCHESTRATOR_URL ?? "";
const headers = { Authorization: `Bearer ${process.env.ORCHESTRATOR_TOKEN}` };
const api = createClient<paths>({ baseUrl, headers });

function expectNone(problem: Problem | undefined): void {
  if (problem) throw new Error(problem.detail);
}

/** The events of a task, up to its last one. The stream ends by itself; `: …` in it keeps the connection open. */
async function* follow(id: string): AsyncGenerator<Event> {
  const { data, error } = await api.GET("/v1/tasks/{id}/events", { params: { path: { id } }, parseAs: "stream" });
  expectNone(error);
  let text = "";
  for await (const piece of data!.pipeThrough(new TextDecoderStream())) {
    const blocks = (text + piece.replaceAll("\r", "")).split("\n\n");
    text = blocks.pop()!;
    for (const block of blocks) {
      if (/^event: transition$/m.test(block)) yield JSON.parse(/^data: (.*)$/m.exec(block)![1]!);
    }
  }
}

async function submitted(body: components["schemas"]["TaskRequest"]): Promise<string> {
  const { data, error } = await api.POST("/v1/tasks", { body });
  expectNone(error);
  return data!._id;
}

/** Submits a task and follows it to its end. */
async function speak(): Promise<object> {
  const id = await submitted({ id: "from-node", image: "busybox", command: ["speak"], limits: { memory: "64m" } });
  const statuses: string[] = [];
  for await (const event of follow(id)) statuses.push(event.status);
  const path = { id, stream: "stdout" as const };
  const { data, error } = await api.GET("/v1/tasks/{id}/logs/{stream}", { params: { path }, parseAs: "text" });
  expectNone(error);
  return { statuses, output: data };
}

/** Submits a task that nobody runs, and cancels it. */
async function cancel(): Promise<object> {
  const id = await submitted({ image: "busybox", command: ["stay"] });
  const { error } = await api.POST("/v1/tasks/{id}/cancel", { params: { path: { id } } });
  expectNone(error);
  let last: Event | undefined;
  for await (const event of follow(id)) last = event;
  return { id, status: last?.status, cause: last?.cause };
}

/** Submits a task that is refused. */
async function refuse(): Promise<object> {
  const { error, response } = await api.POST("/v1/tasks", { body: { image: "NO IMAGE" } });
  return { status: response.status, fields: error?.errors?.map((each) => each.field) };
}

const acts: Record<string, () => Promise<object>> = { speak, cancel, refuse };
console.log(JSON.stringify(await acts[process.argv[2]!]!()));
