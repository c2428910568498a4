/** What all views share: who the viewer is, whether the server answers, the time, the colours. */
import { effect, signal } from "@preact/signals";
import type { Whoami } from "./api/types";

export const connection = signal<"here" | "lost">("here");
/** Whether a token has to be given first. */
export const session = signal<"here" | "needed">("here");
export const whoami = signal<Whoami | null>(null);
/** Counts how often the server came back, so that views look again. */
export const returns = signal(0);
/** Milliseconds, each second while somebody looks. */
export const now = signal(Date.now());

export function mayWrite(): boolean {
  return whoami.value !== null && !whoami.value.read_only && whoami.value.scope !== "read";
}

export function mayDelete(): boolean {
  return mayWrite() && whoami.value?.scope === "admin";
}

export type Theme = "auto" | "light" | "dark";
export const theme = signal<Theme>("auto");
/** Counts how often the colours changed, for what draws on a canvas. */
export const repaint = signal(0);

export function startClock(): void {
  setInterval(() => document.hidden || (now.value = Date.now()), 1000);
}

/** The choice is kept in this browser; `theme.js` sets it before the first paint. */
export function startTheme(): void {
  theme.value = (document.documentElement.dataset["theme"] as Theme | undefined) ?? "auto";
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => repaint.value++);
  effect(() => {
    if (theme.value === "auto") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme.value;
    try {
      localStorage.setItem("theme", theme.value);
    } catch {} // a browser that keeps nothing: the choice lasts as long as the page
    repaint.value = repaint.peek() + 1;
  });
}
