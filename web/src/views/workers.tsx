/** The workers: what each has to do, and whether it is well. */
import { get } from "../api/http";
import type { Worker } from "../api/types";
import { counted } from "../format/size";
import { between, duration } from "../format/time";
import { visible } from "../format/text";
import { Empty, Missing } from "../parts/note";
import { Ago } from "../parts/time";
import { useResource, useTitle } from "../parts/use";
import { taskHref } from "../route";
import { now } from "../state";

const EVERY = 3000;
/** Seconds without a heartbeat after which a worker is not well. */
const SILENT = 120;

export function Workers() {
  useTitle("Workers");
  const { data, error } = useResource("workers", (signal) => get<{ workers: Worker[] }>("v1/workers", signal), EVERY);
  if (!data) return <Missing error={error} />;
  const { workers } = data;
  if (!workers.length) {
    return <Empty title="No worker is there"><p>Tasks wait until one takes them. Start one:</p><pre>orchestrator worker</pre></Empty>;
  }
  const slots = workers.reduce((sum, worker) => sum + (worker.slots ?? 0), 0);
  const busy = workers.reduce((sum, worker) => sum + worker.tasks.length, 0);
  return (
    <>
      <h1>{counted(workers.length, "worker")} <span class="quiet">{busy} of {counted(slots, "slot")} in use</span></h1>
      <div class="cards">{workers.map((worker) => <WorkerCard key={worker.name} worker={worker} />)}</div>
    </>
  );
}

function WorkerCard({ worker }: { worker: Worker }) {
  const silent = worker.last_heartbeat ? between(worker.last_heartbeat, now.value) : 0;
  return (
    <section class="card worker" aria-label={visible(worker.name)}>
      <header>
        <h2>{visible(worker.name)}</h2>
        <span class={`status worker-${worker.state}`}><i class="dot" aria-hidden="true" />{visible(worker.state)}</span>
      </header>
      <Slots worker={worker} />
      <dl class="facts">
        <div><dt>Host</dt><dd>{visible(worker.host)}{worker.pid ? `, process ${worker.pid}` : ""}</dd></div>
        <div><dt>Engine</dt><dd>{worker.engine ? visible(worker.engine) : "not known"}</dd></div>
        {worker.started_at && <div><dt>Up for</dt><dd>{duration(between(worker.started_at, now.value))}</dd></div>}
        {worker.last_heartbeat && <div class={silent > SILENT ? "bad" : ""}><dt>Heartbeat</dt><dd><Ago at={worker.last_heartbeat} /> ago</dd></div>}
      </dl>
      {worker.tasks.length > 0 && (
        <ul class="running" aria-label="Tasks that it runs">
          {worker.tasks.map((id) => <li key={id}><a href={taskHref(id)}>{visible(id)}</a></li>)}
        </ul>
      )}
    </section>
  );
}

/** A square for each slot; as a bar where there are many. */
function Slots({ worker }: { worker: Worker }) {
  const slots = Math.max(worker.slots ?? 0, worker.tasks.length);
  const label = `${worker.tasks.length} of ${counted(slots, "slot")} in use`;
  return (
    <div class="slots">
      {slots <= 32 && <span class="squares" aria-hidden="true">{Array.from({ length: slots }, (_, at) => <i key={at} class={at < worker.tasks.length ? "used" : ""} />)}</span>}
      <span>{label}</span>
    </div>
  );
}
