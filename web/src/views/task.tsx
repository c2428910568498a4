/** One task: what became of it and why, which way it went, what it printed and used, and how to run it again. */
import { useEffect, useMemo } from "preact/hooks";
import { post, Problem, remove, taskPath } from "../api/http";
import type { Task as Document } from "../api/types";
import { CAUSES, hasEnded } from "../facts";
import { commandLine, oneLine, visible } from "../format/text";
import { duration } from "../format/time";
import { useKeys } from "../keys";
import { Act, Copy } from "../parts/actions";
import { Empty, Missing } from "../parts/note";
import { Status } from "../parts/status";
import { Moment } from "../parts/time";
import { useTitle } from "../parts/use";
import { go, href, taskHref } from "../route";
import { mayDelete, mayWrite, now, returns } from "../state";
import { asCurl, asPython, asRun } from "../task/copies";
import { StateDiagram } from "../task/diagram_view";
import { TaskModel } from "../task/model";
import { ranFor } from "../task/path";
import { evidence, sentence } from "../task/verdict";
import { Artifacts } from "./artifacts";
import { Attempts } from "./attempts";
import { Output } from "./output";
import { Request } from "./request";
import { Labels } from "./tasks";
import { Use } from "./use";

export function TaskPage({ id }: { id: string }) {
  const model = useMemo(() => new TaskModel(id), [id]);
  useEffect(() => () => model.close(), [model]);
  const back = returns.value;
  useEffect(() => void (back && model.load()), [back]);
  const task = model.task.value;
  const error = model.error.value;
  useTitle(task ? `${task.status === "succeeded" ? "✓" : hasEnded(task.status) ? "✗" : "…"} ${visible(id)}` : visible(id));
  useKeys({ Escape: () => go(href(["tasks"])) });
  if (!task || (error instanceof Problem && error.status === 404)) {
    return error instanceof Problem && error.status === 404 ? <Unknown id={id} /> : <Missing error={error} />;
  }
  return (
    <article class="task">
      <Head task={task} model={model} />
      <Verdict task={task} />
      <section class="card" aria-label="Path"><StateDiagram task={task} /></section>
      <Output task={task} model={model} />
      <Use task={task} model={model} />
      <Attempts task={task} />
      <Artifacts task={task} />
      <Request task={task} />
    </article>
  );
}

function Unknown({ id }: { id: string }) {
  return (
    <Empty title="There is no such task">
      <p>No task has the id <code>{visible(id)}</code>. It may have been deleted. <a href="#/tasks">See all tasks</a>.</p>
    </Empty>
  );
}

function Head({ task, model }: { task: Document; model: TaskModel }) {
  return (
    <header class="title">
      <p class="where"><a href="#/tasks">Tasks</a></p>
      <h1><span class="id">{visible(task._id)}</span> <Copy text={() => task._id} label="Copy the id" /></h1>
      <p class="command"><span class="image">{visible(String(task.image))}</span> <code><bdi>{oneLine(commandLine(task.command)).slice(0, 2000)}</bdi></code> <Labels labels={task.labels} /></p>
      <div class="actions">
        {mayWrite() && <Writes task={task} model={model} />}
        <span class="copies">
          <span class="quiet">Copy as</span>
          <Copy text={() => asRun(task)} label="Copy as orchestrator run">run</Copy>
          <Copy text={() => asCurl(task, here())} label="Copy as curl">curl</Copy>
          <Copy text={() => asPython(task, here())} label="Copy as Python">Python</Copy>
        </span>
      </div>
    </header>
  );
}

function here(): string {
  return new URL(".", location.href).href;
}

function Writes({ task, model }: { task: Document; model: TaskModel }) {
  const again = async () => {
    const next = await post<Document>(taskPath(task._id, "retry"));
    go(taskHref(next._id));
  };
  const cancel = async () => {
    await post(taskPath(task._id, "cancel"));
    await model.load();
  };
  const gone = async () => {
    await remove(taskPath(task._id));
    go(href(["tasks"]));
  };
  if (!hasEnded(task.status)) {
    return task.cancel_requested_at ? <span class="quiet">Cancelling…</span> : <Act label="Cancel task" ask="End this task? What it has printed so far is kept." isBad act={cancel} />;
  }
  return (
    <>
      <Act label="Run again" act={again} />
      <a class="button" href={href(["submit"], { from: task._id })}>Edit and submit</a>
      {mayDelete() && <Act label="Delete" ask="Delete this task with its logs and artifacts? That cannot be undone." isBad act={gone} />}
    </>
  );
}

function Verdict({ task }: { task: Document }) {
  const proof = evidence(task);
  const said = sentence(task, now.value);
  const meaning = meaningBeside(task, said);
  return (
    <section class={`card verdict state-${task.status}`} aria-label="Verdict">
      <div class="said">
        <Status status={task.status} cause={task.cause} />
        <p class="sentence"><bdi>{visible(said)}</bdi></p>
        {meaning && <p class="quiet">Cause <code>{task.cause}</code>: {meaning}.</p>}
        {proof.length > 0 && (
          <dl class="evidence" aria-label="Evidence">
            {proof.map(({ name, value }) => <div key={name}><dt>{visible(name)}</dt><dd>{visible(value)}</dd></div>)}
          </dl>
        )}
      </div>
      <Facts task={task} />
    </section>
  );
}

/** What its cause means, unless the sentence says it already. */
function meaningBeside(task: Document, said: string): string | null {
  const meaning = task.cause ? CAUSES[task.cause] : undefined;
  return meaning && !said.toLowerCase().includes(meaning.toLowerCase()) ? meaning : null;
}

function Facts({ task }: { task: Document }) {
  const seconds = ranFor(task, now.value);
  return (
    <dl class="facts">
      <div><dt>Submitted</dt><dd><Moment at={task.created_at} /></dd></div>
      {task.started_at && <div><dt>Started</dt><dd><Moment at={task.started_at} /></dd></div>}
      {task.finished_at && <div><dt>Ended</dt><dd><Moment at={task.finished_at} /></dd></div>}
      {seconds !== null && <div><dt>{task.status === "running" ? "Running for" : "Ran for"}</dt><dd>{duration(seconds)}</dd></div>}
      {task.worker && <div><dt>Worker</dt><dd>{visible(task.worker)}</dd></div>}
      {task.finished_by && task.finished_by !== task.worker && <div><dt>Ended by</dt><dd>{visible(task.finished_by)}</dd></div>}
      {(task.attempt ?? 0) > 1 && <div><dt>Attempt</dt><dd>{task.attempt}</dd></div>}
      {task.container && <div><dt>Container</dt><dd><code title={visible(task.container.name)}>{visible(task.container.id.slice(0, 12))}</code></dd></div>}
      {task.keep_until && <div><dt>Kept until</dt><dd>{task.keep_until.startsWith("9999") ? "for ever" : <Moment at={task.keep_until} />}</dd></div>}
    </dl>
  );
}
