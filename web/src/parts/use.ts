/** Hooks: what a view has asked the server for, and what it listens to. */
import { useEffect, useRef, useState } from "preact/hooks";
import { Problem } from "../api/http";
import { returns } from "../state";

const AGAIN = 3000;

export interface Resource<T> {
  data: T | null;
  error: Error | null;
  /** Ask again now; what is shown stays until the answer is here. */
  refresh: () => void;
}

/** What `load` gives for a key, asked for again `every` so many milliseconds and when the server is back. */
export function useResource<T>(key: string, load: (signal: AbortSignal) => Promise<T>, every = 0): Resource<T> {
  const [found, setFound] = useState<{ key: string; data: T | null; error: Error | null }>({ key, data: null, error: null });
  const [asked, setAsked] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  const back = returns.value;
  useEffect(() => {
    const abort = new AbortController();
    let timer = 0;
    const ask = async () => {
      if (!document.hidden || !every) {
        try {
          const data = await latest.current(abort.signal);
          if (!abort.signal.aborted) setFound({ key, data, error: null });
        } catch (error) {
          if (abort.signal.aborted) return;
          setFound((before) => ({ key, data: before.key === key ? before.data : null, error: error as Error }));
          if (!every && mayPass(error)) timer = window.setTimeout(ask, AGAIN);
        }
      }
      if (every && !abort.signal.aborted) timer = window.setTimeout(ask, every);
    };
    void ask();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [key, asked, back, every]);
  return { data: found.data, error: found.error, refresh: () => setAsked((number) => number + 1) };
}

/** Whether the same may be answered later: not what is wrong with the request itself. */
function mayPass(error: unknown): boolean {
  return !(error instanceof Problem) || error.status >= 500;
}

/** The title of the window while a view is shown. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · orchestrator` : "orchestrator";
  }, [title]);
}
