/** How it goes on the whole: the queue, how much is done, how long it takes, and how it ends. */
import { get } from "../api/http";
import type { Quantiles, Stats } from "../api/types";
import { CAUSES, inWords } from "../facts";
import { count, counted, figure } from "../format/size";
import { duration } from "../format/time";
import { Missing } from "../parts/note";
import { Status } from "../parts/status";
import { useResource, useTitle } from "../parts/use";
import { Plot } from "../plot/plot";
import { href, replaceQuery, route } from "../route";

const EVERY = 5000;
const WINDOWS: readonly [string, string, number][] = [["15m", "15 minutes", 900], ["1h", "hour", 3600], ["6h", "6 hours", 21_600], ["24h", "day", 86_400]];

export function Overview() {
  useTitle("Overview");
  const window = WINDOWS.find(([name]) => name === route.value.query.get("window")) ?? (WINDOWS[1] as (typeof WINDOWS)[number]);
  const { data, error } = useResource(`stats ${window[0]}`, (signal) => get<Stats>(`v1/stats?window=${window[0]}`, signal), EVERY);
  if (!data) return <Missing error={error} />;
  return (
    <>
      <div class="head">
        <h1>Overview</h1>
        <div class="choice" role="group" aria-label="Time that is looked at">
          {WINDOWS.map(([name, label]) => (
            <button key={name} type="button" aria-pressed={name === window[0]} onClick={() => replaceQuery({ window: name })}>{label}</button>
          ))}
        </div>
      </div>
      <Now stats={data} />
      <section class="card" aria-label="Over time">
        <h2>Tasks over the last {isCut(data, window[2]) ? duration(data.window) : window[1]}</h2>
        {isCut(data, window[2]) && <p class="quiet">More tasks ended in the {window[1]} than can be looked at.</p>}
        <OverTime stats={data} />
      </section>
      <div class="two">
        <Ends stats={data} age={window[2]} />
        <Times stats={data} />
      </div>
    </>
  );
}

/** Whether the figures are of a shorter time than was asked for. */
function isCut(stats: Stats, asked: number): boolean {
  return stats.window < asked * 0.99;
}

/** How many tasks have a status, with a plus when there are more. */
function kept(stats: Stats, status: string): string {
  return `${count(stats.tasks[status] ?? 0)}${stats.tasks_more?.includes(status) ? "+" : ""}`;
}

function Now({ stats }: { stats: Stats }) {
  const { queue, rates, workers } = stats;
  const slots = workers.reduce((sum, worker) => sum + (worker.slots ?? 0), 0);
  const busy = workers.reduce((sum, worker) => sum + worker.tasks.length, 0);
  return (
    <div class="tiles">
      <Tile name="Waiting" value={count(queue.length)} more={queue.oldest_seconds === null ? "nothing waits" : `the oldest for ${duration(queue.oldest_seconds)}`} to={href(["tasks"], { status: "queued" })} />
      <Tile name="Running" value={kept(stats, "running")} more={`${kept(stats, "collecting")} collecting, ${kept(stats, "uploading")} uploading`} to={href(["tasks"], { status: "running" })} />
      <Tile name="Finished" value={figure(rates.finished_per_minute)} more={`per minute; ${figure(rates.started_per_minute)} started`} />
      <Tile name="Workers" value={count(workers.length)} more={`${busy} of ${counted(slots, "slot")} in use`} to={href(["workers"])} isBad={!workers.length && queue.length > 0} />
    </div>
  );
}

function Tile({ name, value, more, to, isBad }: { name: string; value: string; more: string; to?: string; isBad?: boolean }) {
  const inside = <><span class="name">{name}</span><strong>{value}</strong><span class="more">{more}</span></>;
  const look = `tile ${isBad ? "bad" : ""}`;
  return to ? <a class={look} href={to}>{inside}</a> : <div class={look}>{inside}</div>;
}

function OverTime({ stats }: { stats: Stats }) {
  const { over_time } = stats;
  if (!over_time.some((bucket) => bucket.started || bucket.finished)) return <p class="quiet">Nothing has run in this time.</p>;
  return (
    <Plot
      label="Tasks started, finished and failed over time"
      times={over_time.map((bucket) => Date.parse(bucket.at) / 1000)}
      lines={[
        { label: "started", colour: "--running", values: over_time.map((bucket) => bucket.started), isBar: true, isLine: true },
        { label: "finished", colour: "--succeeded", values: over_time.map((bucket) => bucket.finished), isBar: true },
        { label: "failed", colour: "--failed", values: over_time.map((bucket) => bucket.failed), isBar: true },
      ]}
      format={(value) => count(Math.round(value))}
      isClock
      isWhole
      height={200}
    />
  );
}

function Ends({ stats, age }: { stats: Stats; age: number }) {
  const total = Object.values(stats.ends).reduce((sum, number) => sum + number, 0);
  const most = Math.max(...Object.values(stats.causes), 1);
  const causes = Object.entries(stats.causes).filter(([, number]) => number).sort((a, b) => b[1] - a[1]);
  return (
    <section class="card" aria-label="How tasks end">
      <h2>How they ended</h2>
      {total === 0 && <p class="quiet">No task has ended in this time.</p>}
      {total > 0 && (
        <ul class="ends">
          {Object.entries(stats.ends).map(([status, number]) => (
            <li key={status}><a href={href(["tasks"], { status, age })}><Status status={status} /></a> <b>{count(number)}</b> <span class="quiet">{Math.round((number / total) * 100)} %</span></li>
          ))}
        </ul>
      )}
      {causes.length > 0 && (
        <>
          <h3>By cause</h3>
          <ul class="bars">
            {causes.map(([cause, number]) => (
              <li key={cause} title={CAUSES[cause]}>
                <a href={href(["tasks"], { cause, age })}>{inWords(cause)}</a>
                <span class="track" aria-hidden="true"><span style={{ width: `${(number / most) * 100}%` }} /></span>
                <b>{count(number)}</b>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

function Times({ stats }: { stats: Stats }) {
  return (
    <section class="card" aria-label="How long it takes">
      <h2>How long it takes</h2>
      <table class="plain">
        <thead><tr><th scope="col">Time</th><th scope="col" class="number">Half of them within</th><th scope="col" class="number">95 of 100 within</th></tr></thead>
        <tbody>
          <QuantileRow name="To wait" of={stats.wait_seconds} />
          <QuantileRow name="To run" of={stats.run_seconds} />
        </tbody>
      </table>
      <h3>All tasks that are kept</h3>
      <ul class="states">
        {Object.keys(stats.tasks).map((status) => (
          <li key={status}><a href={href(["tasks"], { status })}><Status status={status} /></a> <b>{kept(stats, status)}</b></li>
        ))}
      </ul>
    </section>
  );
}

function QuantileRow({ name, of }: { name: string; of: Quantiles }) {
  const shown = (seconds: number | null) => (seconds === null ? "–" : duration(seconds));
  return <tr><th scope="row">{name}</th><td class="number">{shown(of.p50)}</td><td class="number">{shown(of.p95)}</td></tr>;
}
