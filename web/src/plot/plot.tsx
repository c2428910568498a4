/** A plot over time. uPlot draws on a canvas, so the colours are read from the style sheet. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { repaint } from "../state";

export interface Line {
  label: string;
  /** A custom property of the style sheet. */
  colour: string;
  values: (number | null)[];
  /** Whether it goes in steps. */
  isBar?: boolean;
  /** Whether the ground below it is left empty. */
  isLine?: boolean;
}

interface Props {
  label: string;
  times: number[];
  lines: Line[];
  /** How a value is written. */
  format: (value: number) => string;
  /** Whether times are dates, in seconds, rather than seconds since a start. */
  isClock?: boolean;
  /** Whether a value is a number of things, which has no fractions. */
  isWhole?: boolean;
  /** Whether a value is bytes, which are counted in powers of 2. */
  isBytes?: boolean;
  height?: number;
  sync?: string;
  /** Called with the place that is pointed at, or null; then there is no legend. */
  pointed?: (at: number | null) => void;
}

const WHOLE = [1, 10, 100, 1000, 10_000, 100_000].flatMap((power) => [power, 2 * power, 5 * power]);
const BYTES = Array.from({ length: 45 }, (_, power) => 2 ** power);

export function Plot(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const paint = repaint.value;
  const latest = useRef(props);
  latest.current = props;
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const drawn = new uPlot(options(latest.current, element.clientWidth, () => latest.current), data(latest.current), element);
    plot.current = drawn;
    const watch = new ResizeObserver(() => drawn.setSize({ width: element.clientWidth, height: latest.current.height ?? 140 }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      drawn.destroy();
      plot.current = null;
    };
  }, [paint, props.lines.length]);
  useEffect(() => plot.current?.setData(data(props)));
  return <div class="plot" ref={box} role="img" aria-label={props.label} />;
}

function data({ times, lines }: Props): uPlot.AlignedData {
  return [times, ...lines.map((line) => line.values)];
}

function options(props: Props, width: number, latest: () => Props): uPlot.Options {
  const css = getComputedStyle(document.documentElement);
  const colour = (name: string) => css.getPropertyValue(name).trim();
  const font = "11px system-ui, sans-serif";
  const axis = { stroke: colour("--quiet"), font, grid: { stroke: colour("--line-soft"), width: 1 }, ticks: { show: false } };
  const written = (value: number) => latest().format(value);
  return {
    width,
    height: props.height ?? 140,
    legend: { show: !props.pointed },
    hooks: { setCursor: [(plot) => latest().pointed?.(plot.cursor.idx ?? null)] },
    cursor: { y: false, points: { size: 6 }, ...(props.sync && { sync: { key: props.sync } }) },
    scales: { x: { time: props.isClock ?? false }, y: { range: (_, __, most) => [0, Math.max(most * 1.08, props.isWhole ? 2 : 1e-9) || 1] } },
    axes: [
      { ...axis, size: 26, ...(props.isClock ? { values: clockValues } : { values: (_, ticks) => ticks.map((tick) => `${+tick.toFixed(2)} s`) }) },
      { ...axis, size: 62, values: (_, ticks) => ticks.map(written), ...(props.isWhole && { incrs: WHOLE }), ...(props.isBytes && { incrs: BYTES }) },
    ],
    series: [
      { label: "", value: (_, at) => (at === null ? "" : props.isClock ? new Date(at * 1000).toLocaleTimeString("sv") : `${at.toFixed(1)} s`) },
      ...props.lines.map((line) => ({
        label: line.label,
        stroke: colour(line.colour),
        width: 1.5,
        ...(!line.isLine && { fill: `${colour(line.colour)}22` }),
        points: { show: latest().times.length < 2 },
        value: (_: uPlot, value: number | null) => (value === null ? "" : written(value)),
        ...(line.isBar && uPlot.paths.stepped && { paths: uPlot.paths.stepped({ align: 1 }) }),
      })),
    ],
  };
}

function clockValues(_: uPlot, ticks: number[]): string[] {
  return ticks.map((tick) => new Date(tick * 1000).toLocaleTimeString("sv", { hour: "2-digit", minute: "2-digit" }));
}
