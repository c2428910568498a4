/** Finds a task by the beginning of its id. */
import { useEffect, useState } from "preact/hooks";
import { get } from "../api/http";
import { go, taskHref } from "../route";
import { visible } from "../format/text";
import { Icon } from "./icon";

const PAUSE = 120;
/** Characters from which on the API looks for ids. */
const LEAST = 4;

export function IdSearch() {
  const [text, setText] = useState("");
  const [found, setFound] = useState<{ prefix: string; ids: string[] } | null>(null);
  const [at, setAt] = useState(0);
  const [isOpen, setOpen] = useState(false);
  const prefix = text.trim();
  useEffect(() => {
    if (prefix.length < LEAST) return setFound(null);
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      const { ids } = await get<{ ids: string[] }>(`v1/ids?prefix=${encodeURIComponent(prefix)}`, abort.signal).catch(() => ({ ids: [] as string[] }));
      if (abort.signal.aborted) return;
      setFound({ prefix, ids });
      setAt(0);
    }, PAUSE);
    return () => (abort.abort(), clearTimeout(timer));
  }, [prefix]);
  const ids = found?.ids ?? [];
  const open = (id: string | undefined) => {
    if (!id) return;
    setText("");
    setOpen(false);
    (document.activeElement as HTMLElement | null)?.blur();
    go(taskHref(id));
  };
  const pressed = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setAt(Math.min(at + 1, ids.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(at - 1, 0));
    else if (event.key === "Enter") open(found?.prefix === prefix ? (ids[at] ?? prefix) : prefix);
    else if (event.key === "Escape") (setText(""), setOpen(false), (event.currentTarget as HTMLElement).blur());
    else return;
    event.preventDefault();
  };
  const isShort = prefix.length < LEAST;
  const shows = isOpen && prefix !== "" && (isShort || found !== null);
  return (
    <div class="search">
      <Icon name="search" />
      <input
        id="search" type="text" autoComplete="off" spellcheck={false} placeholder="Find by id" aria-label="Find a task by the beginning of its id"
        role="combobox" aria-expanded={shows} aria-controls="ids" aria-activedescendant={shows && ids[at] ? `id-${at}` : undefined}
        value={text} onInput={(event) => (setText(event.currentTarget.value), setOpen(true))} onKeyDown={pressed}
        onFocus={() => setOpen(true)} onBlur={() => setOpen(false)}
      />
      <kbd aria-hidden="true">/</kbd>
      <ul id="ids" role="listbox" aria-label="Tasks" hidden={!shows}>
        {shows && !isShort && ids.map((id, row) => (
          <li key={id} id={`id-${row}`} role="option" aria-selected={row === at} onMouseDown={(event) => (event.preventDefault(), open(id))}>{visible(id)}</li>
        ))}
        {shows && (isShort || !ids.length) && <li role="option" aria-selected={false} aria-disabled="true" class="quiet">{isShort ? `Type ${LEAST} characters, or a whole id and Enter.` : "No id begins with that."}</li>}
      </ul>
    </div>
  );
}
