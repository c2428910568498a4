/** What stands around every view: the names of the views, the search, the state of the connection. */
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { go, href, route } from "../route";
import { connection, mayWrite, session, theme, whoami, type Theme } from "../state";
import { useKeys } from "../keys";
import { Dialog } from "./actions";
import { Icon } from "./icon";
import { IdSearch } from "./id_search";

const VIEWS = [["tasks", "Tasks"], ["overview", "Overview"], ["workers", "Workers"]] as const;
const THEMES: Record<Theme, [Theme, "auto" | "sun" | "moon"]> = { auto: ["light", "auto"], light: ["dark", "sun"], dark: ["auto", "moon"] };

export function Frame({ children }: { children: ComponentChildren }) {
  const [showsKeys, setShowsKeys] = useState(false);
  useEffect(() => setShowsKeys(false), [route.value]);
  useKeys({
    "?": () => setShowsKeys(true),
    "/": () => document.querySelector<HTMLInputElement>("#search")?.focus(),
    t: () => go(href(["tasks"])),
    o: () => go(href(["overview"])),
    w: () => go(href(["workers"])),
    n: () => mayWrite() && go(href(["submit"])),
  });
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>Skip to content</a>
      <header class="top">
        <div class="bar">
          <a class="brand" href="#/tasks" aria-label="orchestrator, tasks"><Logo /><span class="word">orchestrator</span></a>
          <nav aria-label="Views">
            {VIEWS.map(([name, label]) => <a key={name} href={href([name])} aria-current={current() === name ? "page" : undefined}>{label}</a>)}
          </nav>
          <IdSearch />
          <div class="tools">
            <ThemeButton />
            <button type="button" class="icon" aria-label="Keys" title="Keys (?)" onClick={() => setShowsKeys(true)}>?</button>
            {!whoami.value && <span class="button strong reserved" aria-hidden="true"><Icon name="plus" />Submit</span>}
            {mayWrite() && <a class="button strong" href={href(["submit"])}><Icon name="plus" />Submit</a>}
          </div>
        </div>
        {connection.value === "lost" && session.value === "here" && <p class="banner" role="status">The server does not answer. This page goes on when it does.</p>}
      </header>
      <main id="main" tabIndex={-1}>{children}</main>
      <footer class="foot">
        {whoami.value && (
          <>
            <span title={whoami.value.deployment}>deployment {whoami.value.deployment.slice(0, 12)}</span>
            <span>orchestrator {whoami.value.version}</span>
            <a href="./docs">API</a>
            <span>{mayWrite() ? `${whoami.value.name}, may ${whoami.value.scope === "admin" ? "do all" : "submit"}` : `${whoami.value.name}, may only read`}</span>
          </>
        )}
      </footer>
      {showsKeys && <Keys close={() => setShowsKeys(false)} />}
    </>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.querySelector<HTMLElement>("#main")?.focus();
}

function current(): string {
  return route.value.path[0] ?? "tasks";
}

function ThemeButton() {
  const [next, icon] = THEMES[theme.value];
  return (
    <button type="button" class="icon" aria-label={`Colours: ${theme.value}`} title={`Colours: ${theme.value}`} onClick={() => (theme.value = next)}>
      <Icon name={icon} />
    </button>
  );
}

const KEYS = [
  ["/", "search by id"], ["j k", "next and previous task"], ["Enter", "open the task"], ["Esc", "back to the list"], ["f", "follow the output"],
  ["s", "search the output"], ["t o w n", "tasks, overview, workers, new task"], ["?", "these keys"],
] as const;

function Keys({ close }: { close: () => void }) {
  return (
    <Dialog title="Keys" close={close}>
      <dl class="keys">
        {KEYS.map(([keys, what]) => (
          <div key={keys}><dt>{keys.split(" ").map((key) => <kbd key={key}>{key}</kbd>)}</dt><dd>{what}</dd></div>
        ))}
      </dl>
      <div class="buttons"><button type="button" class="strong" onClick={close}>Close</button></div>
    </Dialog>
  );
}

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 24 24" aria-hidden="true">
      <path d="M4 12h7M13 12l6-6.5M13 12l6 6.5" />
      <circle cx="4" cy="12" r="2.6" /><circle cx="12" cy="12" r="2.6" /><circle cx="20" cy="5" r="2.6" /><circle cx="20" cy="19" r="2.6" />
    </svg>
  );
}
