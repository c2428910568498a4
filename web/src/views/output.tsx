/** What a task has printed, of one attempt at a time: stdout above stderr. */
import { useEffect, useRef, useState } from "preact/hooks";
import { STREAMS, type Logs, type StreamName, type Task } from "../api/types";
import { hasEnded } from "../facts";
import { useKeys } from "../keys";
import type { StreamLog } from "../log/model";
import { LogPane } from "../log/pane";
import { logPath } from "../log/source";
import { AttemptChoice } from "../parts/attempt_choice";
import { Icon } from "../parts/icon";
import { Moment } from "../parts/time";
import { href, route } from "../route";
import { chosenAttempt, currentAttempt, type TaskModel } from "../task/model";

export function Output({ task, model }: { task: Task; model: TaskModel }) {
  model.begun.value;
  const { query } = route.value;
  const last = currentAttempt(task);
  const attempt = chosenAttempt(task, query);
  const log = model.log(attempt);
  const stored = storedOf(task, attempt);
  const [text, setText] = useState("");
  const named = /^(stdout|stderr):(\d+)$/.exec(query.get("line") ?? "");
  const [follows, setFollows] = useState(!named);
  const search = useRef<HTMLInputElement>(null);
  useKeys({ f: () => setFollows(!follows), s: () => search.current?.focus() });
  useFailureInSight(task, follows, setFollows);
  const lineHref = (stream: StreamName) => (line: number) => href(route.value.path, { attempt: last > 1 ? attempt : null, line: `${stream}:${line}` });
  const isLive = !hasEnded(task.status) && attempt === last;
  const talking = STREAMS.filter((name) => (log.streams[name].version.value, !log.streams[name].buffer.isEmpty));
  const isEmpty = !talking.length;
  // errors are looked for first
  const order = !isLive && hasEnded(task.status) && task.status !== "succeeded" ? [...STREAMS].reverse() : STREAMS;
  return (
    <section class="card output" aria-label="Output">
      <header>
        <h2>Output</h2>
        {last > 1 && <AttemptChoice last={last} attempt={attempt} />}
        <span class="fill" />
        <div class="search small">
          <Icon name="search" />
          <input ref={search} type="search" aria-label="Search the output" placeholder="Search the output" spellcheck={false} value={text} onInput={(event) => setText(event.currentTarget.value)} onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()} />
        </div>
      </header>
      {task.logs_removed_at && attempt === last ? <p class="quiet">The logs were removed on <Moment at={task.logs_removed_at} />.</p> : (
        <>
          {order.filter((name) => talking.includes(name) || needsPane(log.streams[name])).map((name) => (
            <LogPane
              key={`${attempt} ${name}`} log={log.streams[name]} stored={stored?.[name] ?? null}
              download={stored ? logPath(task._id, name, attempt === last ? null : attempt) : null} query={text}
              line={named?.[1] === name ? Number(named[2]) : null} lineHref={lineHref(name)}
              isBeside={talking.length > 1} follow={follows} setFollow={setFollows}
              loadAll={() => stored && void log.read(log.streams[name], stored[name].bytes, true)}
            />
          ))}
          {isLive && isEmpty && <p class="quiet">{task.status === "queued" ? "It has not begun yet." : "It has printed nothing so far."}</p>}
          {!isLive && isEmpty && <p class="quiet">{stored ? "It printed nothing." : "No output was stored."}</p>}
          {!isEmpty && order.filter((name) => !talking.includes(name) && !needsPane(log.streams[name])).map((name) => <p key={name} class="quiet nothing"><code>{name}</code> is empty.</p>)}
        </>
      )}
    </section>
  );
}

/** Whether there is something to say of a stream without content: it is being read, or that has failed. */
function needsPane(stream: StreamLog): boolean {
  return !["live", "whole"].includes(stream.stage.value) || stream.late.value > 0;
}

/** The end of a program that failed is what is looked for first. */
function useFailureInSight(task: Task, follows: boolean, setFollows: (follows: boolean) => void): void {
  const wasRead = useRef(false);
  useEffect(() => {
    if (wasRead.current || !hasEnded(task.status)) return;
    wasRead.current = true;
    if (task.status === "succeeded" && follows) setFollows(false);
  }, [task.status]);
}

function storedOf(task: Task, attempt: number): Logs | null {
  const past = task.attempts?.find((past) => past.attempt === attempt);
  if (past) return past.logs;
  return hasEnded(task.status) ? (task.logs ?? null) : null;
}
