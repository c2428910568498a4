/** The list of tasks: newest first, filtered, a page at a time, kept up to date. */
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../api/http";
import { EventStream } from "../api/stream";
import type { Page, Task, Transition } from "../api/types";
import { CAUSES, hasEnded, inWords, STATES } from "../facts";
import { commandLine, oneLine, visible } from "../format/text";
import { duration } from "../format/time";
import { useKeys } from "../keys";
import { Icon } from "../parts/icon";
import { Empty, Missing } from "../parts/note";
import { Status } from "../parts/status";
import { Ago } from "../parts/time";
import { useResource, useTitle } from "../parts/use";
import { go, href, replaceQuery, route, taskHref } from "../route";
import { mayWrite, now } from "../state";
import { ranFor } from "../task/path";

const FIELDS = "_id,status,cause,message,exit_code,image,command,labels,created_at,started_at,finished_at,attempt,attempts,metrics";
const LIMIT = 50;
const SETTLE = 400;
/** Ages that the filter offers, in seconds. */
const AGES: readonly [string, number][] = [["15 minutes", 900], ["hour", 3600], ["day", 86_400], ["week", 604_800]];

export function Tasks() {
  useTitle("Tasks");
  const { query } = route.value;
  const cursor = query.get("cursor");
  const { data, error, refresh } = useResource(`tasks?${query}`, (signal) => get<Page>(`v1/tasks?${asked(query)}`, signal));
  const tasks = useLive(data?.tasks ?? null, !cursor, refresh);
  return (
    <>
      <h1 class="unseen">Tasks</h1>
      <Filters />
      {!tasks ? <Missing error={error} /> : tasks.length ? <List tasks={tasks} /> : <Nothing isFiltered={isFiltered()} />}
      {data && <Pages next={data.next} />}
    </>
  );
}

/** The query of the API for the query of the address. */
function asked(query: URLSearchParams): URLSearchParams {
  const wanted = new URLSearchParams({ limit: String(LIMIT), fields: FIELDS });
  for (const [name, value] of query) {
    if (name === "age") wanted.set("since", new Date(Date.now() - Number(value) * 1000).toISOString());
    else if (name !== "back") wanted.append(name, value);
  }
  return wanted;
}

function isFiltered(): boolean {
  return ["status", "cause", "image", "label", "age"].some((name) => route.value.query.has(name));
}

/** The tasks, with what events say of them; when they say of others, the first page is asked for again. */
function useLive(tasks: Task[] | null, isFirst: boolean, refresh: () => void): Task[] | null {
  const [news, setNews] = useState<ReadonlyMap<string, Transition>>(new Map());
  const latest = useRef({ tasks, isFirst, refresh });
  latest.current = { tasks, isFirst, refresh };
  useEffect(() => {
    let timer = 0;
    let pending = new Map<string, Transition>();
    const settle = () => {
      timer = 0;
      const { tasks, isFirst, refresh } = latest.current;
      const known = new Set(tasks?.map((task) => task._id));
      const own = [...pending].filter(([id]) => known.has(id));
      if (own.length) setNews((before) => new Map([...[...before].filter(([id]) => known.has(id)), ...own]));
      if (isFirst && (own.length < pending.size || own.some(([, event]) => hasEnded(event.status)))) refresh();
      pending = new Map();
    };
    const heard = (data: unknown) => {
      const event = data as Transition;
      pending.set(event.task_id, event);
      timer ||= window.setTimeout(settle, SETTLE);
    };
    let times = 0;
    const stream = new EventStream(() => "v1/events", { transition: heard }, () => times++ && latest.current.refresh());
    return () => (stream.close(), clearTimeout(timer));
  }, []);
  return tasks && tasks.map((task) => told(task, news.get(task._id)));
}

function told(task: Task, event: Transition | undefined): Task {
  if (!event || hasEnded(task.status) || STATES.indexOf(event.status) < STATES.indexOf(task.status)) return task;
  const started = event.status === "running" ? { started_at: event.at } : {};
  const ended = hasEnded(event.status) ? { finished_at: event.at, cause: event.cause ?? null, message: event.message ?? null } : {};
  return { ...task, status: event.status, ...started, ...ended };
}

function Filters() {
  const { query } = route.value;
  const set = (name: string, value: string) => {
    const next = new URLSearchParams(query);
    for (const gone of ["cursor", "back"]) next.delete(gone);
    if (value) next.set(name, value);
    else next.delete(name);
    replaceQuery(next);
  };
  const typed = (name: string) => (event: Event) => set(name, (event.currentTarget as HTMLInputElement).value.trim());
  return (
    <form class="filters" role="search" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
      <label>Status
        <select value={query.get("status") ?? ""} onChange={(event) => set("status", event.currentTarget.value)}>
          <option value="">any</option>
          {STATES.map((state) => <option key={state} value={state}>{inWords(state)}</option>)}
        </select>
      </label>
      <label>Cause
        <select value={query.get("cause") ?? ""} onChange={(event) => set("cause", event.currentTarget.value)}>
          <option value="">any</option>
          {Object.keys(CAUSES).map((cause) => <option key={cause} value={cause}>{inWords(cause)}</option>)}
        </select>
      </label>
      <label>Image
        <input key={`image ${query.get("image")}`} type="text" placeholder="any" spellcheck={false} defaultValue={query.get("image") ?? ""} onChange={typed("image")} />
      </label>
      <label>Label
        <input key={`label ${query.get("label")}`} type="text" placeholder="name=value" spellcheck={false} defaultValue={query.get("label") ?? ""} onChange={typed("label")} />
      </label>
      <label>Within
        <select value={query.get("age") ?? ""} onChange={(event) => set("age", event.currentTarget.value)}>
          <option value="">any time</option>
          {AGES.map(([label, seconds]) => <option key={label} value={seconds}>the last {label}</option>)}
        </select>
      </label>
      {isFiltered() && <button type="button" class="plain" onClick={() => replaceQuery({})}>Clear filters</button>}
    </form>
  );
}

function List({ tasks }: { tasks: Task[] }) {
  const [at, setAt] = useState(-1);
  const rows = useRef<HTMLTableSectionElement>(null);
  const move = (step: number) => {
    const next = Math.min(Math.max(at + step, 0), tasks.length - 1);
    setAt(next);
    rows.current?.rows[next]?.scrollIntoView({ block: "nearest" });
  };
  useKeys({ j: () => move(1), k: () => move(-1), Enter: () => tasks[at] && go(taskHref(tasks[at]._id)) });
  return (
    <table class="tasks">
      <thead>
        <tr><th scope="col">Status</th><th scope="col">Task</th><th scope="col">Image</th><th scope="col">Command</th><th scope="col" class="number">Ran</th><th scope="col" class="number">Age</th></tr>
      </thead>
      <tbody ref={rows}>
        {tasks.map((task, row) => <TaskRow key={task._id} task={task} isAt={row === at} />)}
      </tbody>
    </table>
  );
}

function TaskRow({ task, isAt }: { task: Task; isAt: boolean }) {
  const seconds = ranFor(task, now.value);
  const isBad = hasEnded(task.status) && task.status !== "succeeded";
  return (
    <tr class={`state-${task.status} ${isAt ? "at" : ""}`} aria-current={isAt ? "true" : undefined} onClick={(event) => opens(event) && go(taskHref(task._id))}>
      <td><Status status={task.status} cause={task.cause} /></td>
      <td class="id"><a href={taskHref(task._id)} title={visible(task._id)}>{visible(task._id)}</a></td>
      <td class="image" title={visible(String(task.image))}>{visible(String(task.image))}</td>
      <td class="what">
        <code><bdi>{oneLine(commandLine(task.command)).slice(0, 400) || "the image's own"}</bdi></code>
        <Labels labels={task.labels} />
        {isBad && task.message && <span class="why"><bdi>{oneLine(task.message).slice(0, 400)}</bdi></span>}
      </td>
      <td class="number">{seconds === null ? "" : duration(seconds)}</td>
      <td class="number"><Ago at={task.created_at} /></td>
    </tr>
  );
}

/** A click anywhere in the row opens it, but not one that selects text or has a meaning of its own. */
function opens(event: MouseEvent): boolean {
  return !(event.target as Element).closest("a, button") && !getSelection()?.toString();
}

export function Labels({ labels }: { labels: Record<string, string> | null | undefined }) {
  if (!labels || typeof labels !== "object") return null;
  return (
    <>
      {Object.entries(labels).slice(0, 8).map(([name, value]) => (
        <a key={name} class="label" href={href(["tasks"], { label: `${name}=${value}` })} title="Tasks with this label">{visible(value ? `${name}=${value}` : name)}</a>
      ))}
    </>
  );
}

/** Cursors lead forward alone, so the way back is kept in the address. */
function Pages({ next }: { next: string | null }) {
  const { query } = route.value;
  const cursor = query.get("cursor");
  const back = query.getAll("back");
  if (!cursor && !next) return null;
  const to = (cursor: string | null, back: string[]) => {
    const wanted = new URLSearchParams(query);
    for (const name of ["cursor", "back"]) wanted.delete(name);
    if (cursor) wanted.set("cursor", cursor);
    for (const each of back) wanted.append("back", each);
    return href(["tasks"], wanted);
  };
  return (
    <nav class="pages" aria-label="Pages">
      {cursor ? <a class="button" href={to(back[back.length - 1] || null, back.slice(0, -1))}><Icon name="left" />Newer</a> : <span />}
      {cursor && <a href={to(null, [])}>Newest</a>}
      {next ? <a class="button" href={to(next, [...back, cursor ?? ""].slice(-20))}>Older<Icon name="right" /></a> : <span class="quiet">These are the oldest.</span>}
    </nav>
  );
}

function Nothing({ isFiltered }: { isFiltered: boolean }) {
  if (isFiltered) return <Empty title="No task is like that"><p>Take a filter away, or <a href="#/tasks">see all tasks</a>.</p></Empty>;
  return (
    <Empty title="There are no tasks yet">
      {mayWrite() ? <p><a href="#/submit">Submit one here</a>, or from a shell:</p> : <p>From a shell:</p>}
      <pre>orchestrator run busybox echo hello</pre>
    </Empty>
  );
}
