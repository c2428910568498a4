/** The attempts of a task side by side. */
import type { ComponentChildren } from "preact";
import type { Attempt, Task } from "../api/types";
import { inWords } from "../facts";
import { visible } from "../format/text";
import { size } from "../format/size";
import { duration } from "../format/time";
import { Status } from "../parts/status";
import { Moment } from "../parts/time";
import { href } from "../route";
import { currentAttempt } from "../task/model";

export function Attempts({ task }: { task: Task }) {
  if (!task.attempts?.length) return null;
  const all = [...task.attempts, present(task)];
  const line = (name: string, tell: (attempt: Attempt) => ComponentChildren) => (
    <tr><th scope="row">{name}</th>{all.map((attempt) => <td key={attempt.attempt}>{tell(attempt) || <span class="quiet">–</span>}</td>)}</tr>
  );
  return (
    <section class="card" aria-label="Attempts">
      <h2>Attempts</h2>
      <div class="wide" tabIndex={0} role="group" aria-label="Attempts side by side">
        <table class="plain attempts">
          <thead>
            <tr><td />{all.map(({ attempt }) => <th key={attempt} scope="col"><a href={href(["tasks", task._id], { attempt })}>Attempt {attempt}</a></th>)}</tr>
          </thead>
          <tbody>
            {line("Ended", (attempt) => (attempt === all[all.length - 1] ? <Status status={task.status} cause={task.cause} /> : attempt.handed_over ? "its worker had to leave" : inWords(attempt.cause ?? "")))}
            {line("Because", (attempt) => <bdi>{visible(attempt.message ?? "")}</bdi>)}
            {line("Exit code", (attempt) => (attempt.exit_code === null ? "" : String(attempt.exit_code)))}
            {line("Started", (attempt) => attempt.started_at && <Moment at={attempt.started_at} />)}
            {line("Ran for", (attempt) => attempt.metrics && duration(attempt.metrics.duration_s))}
            {line("CPU time", (attempt) => attempt.metrics?.cpu_time_s != null && duration(attempt.metrics.cpu_time_s))}
            {line("Most memory", (attempt) => attempt.metrics?.memory_peak_bytes != null && size(attempt.metrics.memory_peak_bytes))}
            {line("Output", (attempt) => attempt.logs && `${size(attempt.logs.stdout.bytes)} stdout, ${size(attempt.logs.stderr.bytes)} stderr`)}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function present(task: Task): Attempt {
  return {
    attempt: currentAttempt(task),
    started_at: task.started_at ?? null,
    ended_at: task.finished_at ?? null,
    exit_code: task.exit_code ?? null,
    cause: task.cause ?? null,
    message: task.message ?? "",
    logs: task.logs ?? null,
    metrics: task.metrics ?? null,
  };
}
