import assert from "node:assert/strict";
import { test } from "node:test";
import type { Task } from "../src/api/types";
import { asCurl, asPython, asRun, requestOf } from "../src/task/copies";
import { layout } from "../src/task/diagram";
import { ROWS, STATES } from "../src/facts";
import { ranFor, stays, timeIn, visits } from "../src/task/path";
import { evidence, sentence } from "../src/task/verdict";

const at = (second: number) => new Date(Date.UTC(2026, 0, 2, 3, 4, second)).toISOString();
const entry = (seq: number, trigger: string, source: string, status: string, second: number, attempt = 1) =>
  ({ seq, trigger, source, status, at: at(second), attempt }) as NonNullable<Task["history"]>[number];

const TWICE: Task = {
  _id: "t1",
  status: "running",
  image: "busybox",
  created_at: at(0),
  started_at: at(9),
  history: [
    entry(1, "start", "queued", "running", 2),
    entry(2, "wait", "running", "collecting", 5),
    entry(3, "collect", "collecting", "uploading", 6),
    entry(4, "upload", "uploading", "queued", 8),
    entry(5, "start", "queued", "running", 9, 2),
  ],
};
const NOW = Date.parse(at(20));

test("time in a state is that of all visits, and goes on in the present one", () => {
  assert.equal(timeIn(TWICE, "queued", NOW), 3);
  assert.equal(timeIn(TWICE, "running", NOW), 3 + 11);
  assert.equal(timeIn(TWICE, "succeeded", NOW), null);
  assert.equal(visits(TWICE, "queued"), 2);
  assert.equal(stays(TWICE).length, 6);
  assert.equal(ranFor(TWICE, NOW), 11);
});

test("every pair of the table is an arrow, no two states lie on each other, and all is inside", () => {
  const { arrows, boxes, width, height } = layout();
  assert.equal(arrows.length, new Set(ROWS.map((row) => `${row.source} ${row.dest}`)).size);
  assert.equal(new Set(boxes.map((box) => `${box.x} ${box.y}`)).size, STATES.length);
  assert.ok(boxes.every((box) => box.x >= 0 && box.y >= 0 && box.x + 112 <= width && box.y + 44 <= height));
});

test("a sentence for each state", () => {
  assert.equal(sentence(TWICE, NOW), "It has been running for 11 s.");
  const failed: Task = { ...TWICE, status: "failed", cause: "exit", message: "the program exited with 3" };
  assert.equal(sentence(failed, NOW), "The program exited with 3.");
  assert.equal(sentence({ ...failed, message: null }, NOW), "The program ended with a status other than 0.");
});

test("evidence is told with its unit", () => {
  const task: Task = { ...TWICE, exit_code: 137, evidence: { oom_killed: true, ran_for_s: 0.25, counted: { memory_peak_bytes: 1 << 20 } } };
  assert.deepEqual(evidence(task), [
    { name: "exit code", value: "137" },
    { name: "oom killed", value: "yes" },
    { name: "ran for", value: "250 ms" },
    { name: "memory peak", value: "1 MiB" },
  ]);
});

test("a request is what its owner wrote", () => {
  assert.deepEqual(requestOf({ ...TWICE, env: {}, user: null, command: ["true"] }), { image: "busybox", command: ["true"] });
});

test("as a command with flags, or with the whole task on stdin", () => {
  const task = { image: "busybox", command: ["sh", "-c", "echo 'hi'"], env: { A: "b c" }, limits: { memory: "64m" }, retries: 2 };
  assert.equal(asRun(task), `orchestrator run --env 'A=b c' --retries 2 --memory 64m busybox sh -c 'echo '\\''hi'\\'''`);
  assert.ok(asRun({ ...task, stdin: "x" }).startsWith("orchestrator run --from - <<'TASK'\n{"));
});

test("as curl and as Python", () => {
  const task = { image: "busybox", network: true, command: "it's" };
  assert.ok(asCurl(task, "http://host:1/").includes("curl --fail-with-body http://host:1/v1/tasks"));
  assert.ok(asCurl(task, "http://host:1/").includes("it'\\''s"));
  assert.ok(asPython(task, "http://host:1/").includes('{"image": "busybox", "command": "it\'s", "network": True}'));
});
