/** What a task uses: its figures over time, and their peaks. */
import { useState } from "preact/hooks";
import type { Metrics, Task } from "../api/types";
import { count, counted, figure, size } from "../format/size";
import { duration } from "../format/time";
import type { Figures, Plotted } from "../plot/figures";
import { Plot } from "../plot/plot";
import { AttemptChoice } from "../parts/attempt_choice";
import { route } from "../route";
import { chosenAttempt, currentAttempt, type TaskModel } from "../task/model";

const PLOTS: readonly { name: Plotted; title: string; colour: string; format: (value: number) => string; isWhole?: boolean; isBytes?: boolean }[] = [
  { name: "cpu_percent", title: "CPU", colour: "--running", format: (value) => `${figure(value)} %` },
  { name: "memory_bytes", title: "Memory", colour: "--accent", format: size, isBytes: true },
  { name: "pids", title: "Processes", colour: "--collecting", format: (value) => count(Math.round(value)), isWhole: true },
];

export function Use({ task, model }: { task: Task; model: TaskModel }) {
  const last = currentAttempt(task);
  const attempt = chosenAttempt(task, route.value.query);
  const figures = model.figuresOf(attempt);
  figures.version.value;
  const metrics = attempt === last ? task.metrics : task.attempts?.find((past) => past.attempt === attempt)?.metrics;
  const plots = figures.times.length > 1 ? PLOTS.filter(({ name }) => figures.has(name)) : [];
  const facts = metrics ? totals(metrics) : [];
  if (!plots.length && !facts.length && last === 1) return null;
  return (
    <section class="card use" aria-label="Use of the machine">
      <header>
        <h2>Use of the machine</h2>
        {last > 1 && <AttemptChoice last={last} attempt={attempt} />}
      </header>
      {!plots.length && !facts.length && <p class="quiet">Nothing is known of what this attempt used.</p>}
      {facts.length > 0 && <dl class="evidence">{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>}
      <div class="plots">
        {plots.map((plot) => <One key={`${attempt} ${plot.name}`} plot={plot} figures={figures} />)}
      </div>
    </section>
  );
}

/** The value that is pointed at, or the last one, stands beside the name. */
function One({ plot, figures }: { plot: (typeof PLOTS)[number]; figures: Figures }) {
  const { name, title, colour, format, ...scale } = plot;
  const [at, setAt] = useState<number | null>(null);
  figures.version.value; // what is inside changes, and signals have a component skip what looks the same
  const values = figures.columns[name];
  const shown = Math.min(at ?? values.length - 1, values.length - 1);
  const value = values[shown];
  return (
    <figure>
      <figcaption>{title} <span>{value != null && format(value)}{at !== null && ` after ${duration(figures.times[shown] ?? 0)}`}</span></figcaption>
      <Plot {...scale} label={`${title} over time`} times={figures.times} lines={[{ label: title, colour, values }]} format={format} sync="use" pointed={setAt} />
    </figure>
  );
}

function totals(metrics: Metrics): [string, string][] {
  const found: [string, string][] = [["ran for", duration(metrics.duration_s)]];
  const { cpu_percent, cpu_time_s, throttled_s, memory_peak_bytes, memory_bytes, pids_peak } = metrics;
  if (cpu_time_s != null) found.push(["CPU time", duration(cpu_time_s)]);
  if (cpu_percent) found.push(["CPU", `${figure(cpu_percent.avg)} % on average, ${figure(cpu_percent.max)} % at most`]);
  if (throttled_s) found.push(["held up by its CPU limit", duration(throttled_s)]);
  const memory = memory_peak_bytes ?? memory_bytes?.max;
  if (memory) found.push(["most memory", size(memory)]);
  if (pids_peak) found.push(["at once", counted(pids_peak, "process").replace(/processs$/, "processes")]);
  return found;
}
