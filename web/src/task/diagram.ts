/** Where the states and arrows of the diagram are, worked out from the transition table that the page was built from. */
import { hasEnded, INITIAL, ROWS, STATES, type Row, type State } from "../facts";

export interface Box {
  state: State;
  x: number;
  y: number;
}

export interface Arrow {
  source: State;
  dest: State;
  triggers: string[];
  /** What the arrow stands for, in words. */
  title: string;
  path: string;
  label: { text: string; x: number; y: number } | null;
  isFailure: boolean;
}

export interface Diagram {
  width: number;
  height: number;
  boxes: Box[];
  arrows: Arrow[];
}

export const WIDTH = 112;
export const HEIGHT = 44;
const GAP = 60;
const APART = 62;
const MARGIN = 8;
const ABOVE = 58;

/** The layout: a row of states, the endings in the last column, and a lane below for what fails anywhere. */
export function layout(rows: readonly Row[] = ROWS, states: readonly State[] = STATES): Diagram {
  const boxes = placed(rows, states);
  const at = new Map(boxes.map((box) => [box.state, box]));
  const pairs = new Map<string, Row[]>();
  for (const row of rows) pairs.set(`${row.source} ${row.dest}`, [...(pairs.get(`${row.source} ${row.dest}`) ?? []), row]);
  const arrows = [...pairs.values()].map((same) => arrow(same, at));
  const right = Math.max(...boxes.map((box) => box.x + WIDTH));
  const bottom = Math.max(...boxes.map((box) => box.y + HEIGHT));
  return { width: right + MARGIN, height: bottom + MARGIN, boxes, arrows };
}

function placed(rows: readonly Row[], states: readonly State[]): Box[] {
  const rank = ranks(rows, states);
  const last = Math.max(...rank.values());
  const arriving = (state: State) => rows.filter((row) => row.dest === state).length;
  const ends = states.filter((state) => rank.get(state) === last).sort((a, b) => arriving(a) - arriving(b));
  const lane = (state: State) => (ends.length > 1 && state === ends[ends.length - 1] ? 1 : -Math.max(ends.indexOf(state), 0));
  const highest = Math.min(...states.map(lane));
  const middle = MARGIN + Math.max(ABOVE, -highest * APART);
  return states.map((state) => ({
    state,
    x: MARGIN + (rank.get(state) ?? 0) * (WIDTH + GAP),
    y: middle + lane(state) * APART,
  }));
}

/** The column of each state: the most steps forward that lead to it. */
function ranks(rows: readonly Row[], states: readonly State[]): Map<State, number> {
  const rank = new Map<State, number>([[INITIAL, 0]]);
  for (const state of states) {
    for (const row of rows) {
      if (row.source !== state || states.indexOf(row.dest) <= states.indexOf(state)) continue;
      rank.set(row.dest, Math.max(rank.get(row.dest) ?? 0, (rank.get(state) ?? 0) + 1));
    }
  }
  const last = Math.max(...rank.values());
  for (const state of states) if (hasEnded(state)) rank.set(state, last);
  return rank;
}

function arrow(rows: Row[], at: Map<State, Box>): Arrow {
  const { source, dest } = rows[0] as Row;
  const from = at.get(source) as Box;
  const to = at.get(dest) as Box;
  const triggers = rows.map((row) => row.trigger);
  const isFailure = triggers.includes("fail");
  const words = rows.map((row) => `${row.trigger}${row.guard ? ` [${row.guard}]` : ""}: ${row.work}`);
  const isNext = from.y === to.y && to.x - from.x === WIDTH + GAP;
  const below = hasEnded(dest) ? 20 : 0; // above is the arrow to another ending
  const label = isNext ? { text: triggers.join(", "), x: (from.x + WIDTH + to.x) / 2 - 3, y: from.y + HEIGHT / 2 - 6 + below } : null;
  return { source, dest, triggers, title: `${source} → ${dest}: ${words.join("; ")}`, path: line(from, to), label, isFailure };
}

function line(from: Box, to: Box): string {
  const [sx, tx] = [from.x + WIDTH / 2, to.x + WIDTH / 2];
  const [sy, ty] = [from.y + HEIGHT / 2, to.y + HEIGHT / 2];
  if (from === to) return `M${sx - 34} ${from.y}c-6 -30 26 -30 20 -3`;
  if (to.x < from.x) return back(sx, tx, from, to);
  if (from.y === to.y) return `M${from.x + WIDTH} ${sy}H${to.x - 5}`;
  if (to.y > from.y) return `M${sx} ${from.y + HEIGHT}V${ty - 14}q0 14 14 14H${to.x - 5}`; // down into the lane
  const bend = (to.x - from.x - WIDTH) / 2;
  return `M${from.x + WIDTH} ${sy}c${bend} 0 ${bend} ${ty - sy} ${2 * bend - 5} ${ty - sy}`;
}

/** An arc above the row, the higher the further it goes; it lands beside the others. */
function back(sx: number, tx: number, from: Box, to: Box): string {
  const span = (from.x - to.x) / (WIDTH + GAP);
  const high = from.y - 14 - 13 * span;
  const end = tx + (span > 1 ? 14 : 34);
  return `M${sx} ${from.y}C${sx} ${high} ${sx - 10} ${high} ${sx - 30} ${high}H${end + 20}C${end} ${high} ${end} ${high} ${end} ${to.y - 5}`;
}
