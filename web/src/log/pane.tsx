/** One stream of output: only the rows in sight are in the document, whatever its length. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { LogObject } from "../api/types";
import { count, counted, size } from "../format/size";
import { Icon } from "../parts/icon";
import { type Look, spans } from "./ansi";
import type { Row } from "./buffer";
import type { StreamLog } from "./model";
import { MOST, parts, Search } from "./search";

export const ROW = 20;
const MORE = 12;
const MOST_ROWS = 28;
const MOST_BESIDE = 15;

interface Props {
  log: StreamLog;
  stored: LogObject | null;
  download: string | null;
  query: string;
  /** The line that the address names. */
  line: number | null;
  lineHref: (line: number) => string;
  /** Whether the other stream has something to show, too. */
  isBeside: boolean;
  follow: boolean;
  setFollow: (follow: boolean) => void;
  loadAll: () => void;
}

export function LogPane(props: Props) {
  const { log, line, follow, setFollow, query } = props;
  log.version.value;
  const { buffer } = log;
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: ROW * MOST_ROWS });
  const own = useRef(-1);
  const first = buffer.droppedRows;
  const total = buffer.rows - first;
  const scrollTo = (row: number) => {
    const element = box.current;
    if (element) element.scrollTop = Math.max((row - first) * ROW - element.clientHeight / 3, 0);
  };
  useDropped(box, first, follow);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element || !follow) return;
    element.scrollTop = element.scrollHeight;
    own.current = element.scrollTop;
  });
  const target = line === null ? null : buffer.rowOf(line);
  useEffect(() => {
    if (target === null) return;
    scrollTo(target);
    box.current?.scrollIntoView({ block: "nearest" });
  }, [target === null, line]);
  const scrolled = () => {
    const element = box.current;
    if (!element) return;
    const atEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - ROW;
    if (element.scrollTop !== own.current && log.stage.value !== "whole") setFollow(atEnd);
    else if (!atEnd && follow && element.scrollTop < own.current) setFollow(false);
    setView({ top: element.scrollTop, height: element.clientHeight });
  };
  const from = Math.max(Math.floor(view.top / ROW) - MORE, 0);
  const to = Math.min(Math.ceil((view.top + view.height) / ROW) + MORE, total);
  const shown = Array.from({ length: Math.max(to - from, 0) }, (_, at) => first + from + at);
  return (
    <section class="log" aria-label={log.name}>
      <Head {...props} scrollTo={scrollTo} />
      <Notices {...props} />
      {total > 0 && (
        <div class="rows" ref={box} onScroll={scrolled} tabIndex={0} role="region" aria-label={`${log.name}, ${counted(buffer.lines, "line")}`} style={{ height: `${Math.min(total, props.isBeside ? MOST_BESIDE : MOST_ROWS) * ROW + 14}px` }}>
          <div class="all" style={{ height: `${total * ROW}px` }}>
            <div class="sight" style={{ transform: `translateY(${from * ROW}px)` }}>
              {shown.map((index) => <Line key={index} row={buffer.row(index)} query={query} line={line} name={log.name} href={props.lineHref} />)}
            </div>
          </div>
        </div>
      )}
    </section>
  );
}

/** When old rows go while somebody reads further down, what is read stays where it is. */
function useDropped(box: { current: HTMLDivElement | null }, first: number, follow: boolean): void {
  const before = useRef(first);
  useLayoutEffect(() => {
    if (box.current && !follow) box.current.scrollTop -= (first - before.current) * ROW;
    before.current = first;
  }, [first]);
}

function Head({ log, stored, download, query, follow, setFollow, scrollTo }: Props & { scrollTo: (row: number) => void }) {
  log.version.value;
  const { buffer } = log;
  const bytes = stored?.bytes ?? buffer.end;
  return (
    <header>
      <h3>{log.name}</h3>
      <span class="quiet">{bytes === 0 ? "nothing" : `${log.stage.value === "part" ? "" : `${counted(buffer.lines, "line")}, `}${size(bytes)}`}</span>
      {!!stored?.dropped && <span class="warn">{count(stored.dropped)} bytes dropped</span>}
      {stored?.truncated && !stored.dropped && <span class="warn">not all of it</span>}
      <span class="fill" />
      {query && <Found log={log} query={query} scrollTo={scrollTo} />}
      {log.stage.value === "live" && !buffer.isEmpty && (
        <label class="follow">
          <input type="checkbox" checked={follow} onChange={(event) => setFollow(event.currentTarget.checked)} /> Follow
        </label>
      )}
      {download && bytes > 0 && (
        <a class="button small" href={download} download aria-label={`Download ${log.name}`}>
          <Icon name="download" /> Download
        </a>
      )}
    </header>
  );
}

function Notices({ log, stored, download, loadAll }: Props) {
  log.version.value;
  const { buffer } = log;
  const stage = log.stage.value;
  return (
    <>
      {buffer.droppedRows > 0 && (
        <p class="note">
          The first {size(buffer.droppedBytes)} are not shown: this page keeps the last {counted(buffer.rows - buffer.droppedRows, "row")}.
          {download ? " The download has all." : ""}
        </p>
      )}
      {stage === "part" && stored && (
        <p class="note">
          Shown are the first {size(buffer.end)} of {size(stored.bytes)}.{" "}
          <button class="small" type="button" onClick={loadAll}>Load the rest</button>
        </p>
      )}
      {log.late.value > 0 && <p class="note">{size(log.late.value)} could not be sent while it runs. They are in the log when it is stored.</p>}
      {stage === "failed" && <p class="note bad">{log.error.value}</p>}
      {stage === "reading" && buffer.isEmpty && <p class="note quiet">Reading…</p>}
    </>
  );
}

function Found({ log, query, scrollTo }: { log: StreamLog; query: string; scrollTo: (row: number) => void }) {
  const search = useMemo(() => new Search(log.buffer, query), [log.buffer, query]);
  const [at, setAt] = useState(-1);
  useEffect(() => {
    setAt(-1);
    return () => search.close();
  }, [search]);
  const version = log.version.value;
  useEffect(() => search.goOn(), [search, version]);
  search.version.value;
  const { found } = search;
  const go = (step: number) => {
    const next = (at + step + found.length) % found.length;
    setAt(next);
    scrollTo(found[next] as number);
  };
  const total = `${count(found.length)}${found.length >= MOST ? "+" : ""}${search.isDone ? "" : "…"}`;
  return (
    <span class="found">
      <span role="status">{at >= 0 ? `${at + 1} of ` : ""}{total} found</span>
      <button type="button" class="small icon" aria-label={`Previous place in ${log.name}`} disabled={!found.length} onClick={() => go(at < 0 ? 0 : -1)}><Icon name="up" /></button>
      <button type="button" class="small icon" aria-label={`Next place in ${log.name}`} disabled={!found.length} onClick={() => go(1)}><Icon name="down" /></button>
    </span>
  );
}

interface LineProps {
  row: Row;
  query: string;
  line: number | null;
  name: string;
  href: (line: number) => string;
}

function Line({ row, query, line, name, href }: LineProps) {
  const isNamed = row.line !== 0 && row.line === line;
  if (row.missing) return <div class="row gap">{count(row.missing)} bytes are missing here</div>;
  const cut = row.text.lastIndexOf("\r") + 1;
  return (
    <div class={`row ${isNamed ? "named" : ""}`}>
      {row.line > 0 ? <a class="number" href={href(row.line)} aria-label={`Line ${row.line} of ${name}`} data-line={row.line} /> : <span class="number" />}
      {cut > 0 && <span class="over" title="Earlier text of this line was overwritten, as a progress bar does; the download has it.">↺</span>}
      <bdi class="text">{spans(row.text.slice(cut), row.look)[0].map((span, at) => <Styled key={at} look={span.look} text={span.text} query={query} />)}</bdi>
    </div>
  );
}

function Styled({ look, text, query }: { look: Look; text: string; query: string }) {
  const content = parts(text, query).map(([part, isFound], at) => (isFound ? <mark key={at}>{part}</mark> : part));
  const classes = classesOf(look);
  const style = { ...(typeof look.fg === "string" && { color: look.fg }), ...(typeof look.bg === "string" && { backgroundColor: look.bg }) };
  return classes || Object.keys(style).length ? <span class={classes} style={style}>{content}</span> : <>{content}</>;
}

function classesOf(look: Look): string {
  const { fg, bg, ...weights } = look;
  const names = Object.keys(weights).map((name) => `ansi-${name}`);
  if (typeof fg === "number") names.push(`ansi-fg${fg}`);
  if (typeof bg === "number") names.push(`ansi-bg${bg}`);
  return names.join(" ");
}
