/** The state diagram with the path that a task has taken, and the time in each state. */
import { useEffect, useRef } from "preact/hooks";
import type { Task } from "../api/types";
import { hasEnded, inWords } from "../facts";
import { duration } from "../format/time";
import { now } from "../state";
import { HEIGHT, layout, WIDTH, type Arrow, type Box } from "./diagram";
import { moves, timeIn, visits } from "./path";

const DIAGRAM = layout();

export function StateDiagram({ task }: { task: Task }) {
  const taken = moves(task);
  const wasTaken = (arrow: Arrow) => taken.some((move) => move.source === arrow.source && move.dest === arrow.dest);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const here = box.current?.querySelector(".box.here");
    if (box.current && here) box.current.scrollLeft += here.getBoundingClientRect().right - box.current.getBoundingClientRect().right + 12;
  }, [task.status]);
  const arrows = [...DIAGRAM.arrows].sort((a, b) => Number(wasTaken(a)) - Number(wasTaken(b)));
  return (
    <div class="diagram" ref={box} tabIndex={0} role="group" aria-label="The path that the task has taken">
      <svg viewBox={`0 0 ${DIAGRAM.width} ${DIAGRAM.height}`} role="img" aria-label={inOneSentence(task)}>
        <defs>
          {["idle", "taken", "bad"].map((name) => (
            <marker key={name} id={`arrow-${name}`} class={`arrowhead ${name}`} viewBox="0 0 8 8" refX="5" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
              <path d="M0 0.5L7.5 4L0 7.5z" />
            </marker>
          ))}
        </defs>
        {arrows.map((arrow) => <Line key={arrow.title} arrow={arrow} isTaken={wasTaken(arrow)} />)}
        {DIAGRAM.boxes.map((box) => <StateBox key={box.state} box={box} task={task} />)}
      </svg>
    </div>
  );
}

function Line({ arrow, isTaken }: { arrow: Arrow; isTaken: boolean }) {
  const look = isTaken ? (arrow.dest === "failed" ? "bad" : "taken") : "idle";
  return (
    <g class={`arrow ${look} ${arrow.isFailure ? "failure" : ""}`}>
      <title>{arrow.title}</title>
      <path d={arrow.path} marker-end={`url(#arrow-${look})`} />
      {arrow.label && <text x={arrow.label.x} y={arrow.label.y}>{arrow.label.text}</text>}
    </g>
  );
}

function StateBox({ box, task }: { box: Box; task: Task }) {
  const times = visits(task, box.state);
  const seconds = timeIn(task, box.state, now.value);
  const isHere = task.status === box.state;
  const look = `${times ? "visited" : "idle"} ${isHere ? "here" : ""} state-${box.state}`;
  const middle = box.x + WIDTH / 2;
  const often = times > 1 ? ` ×${times}` : "";
  const second = seconds !== null ? `${duration(seconds)}${often}` : isHere && task.cause && task.cause !== "timeout" ? inWords(task.cause) : "";
  return (
    <g class={`box ${look}`}>
      <rect x={box.x} y={box.y} width={WIDTH} height={HEIGHT} rx="7" />
      <text class="name" x={middle} y={box.y + (second ? 19 : 27)}>{inWords(box.state)}</text>
      {second && <text class="time" x={middle} y={box.y + 34}>{second}</text>}
    </g>
  );
}

function inOneSentence(task: Task): string {
  const visited = DIAGRAM.boxes.filter((box) => visits(task, box.state));
  const told = visited.map(({ state }) => {
    const seconds = hasEnded(state) ? null : timeIn(task, state, now.value);
    return seconds === null ? inWords(state) : `${inWords(state)} for ${duration(seconds)}`;
  });
  return `The task was ${told.join(", then ")}.`;
}
