/** Keys that do something in the view that is shown; never while somebody types. */
import { useEffect, useRef } from "preact/hooks";

export type Keys = Record<string, () => void>;

export function useKeys(keys: Keys): void {
  const latest = useRef(keys);
  latest.current = keys; // with each rendering, so that a key that follows at once does what it should by then
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
      const act = latest.current[event.key];
      if (!act || (event.key === "Enter" && isControl(event.target))) return;
      event.preventDefault();
      act();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof Element && target.matches("input:not([type=checkbox]), textarea, select");
}

function isControl(target: EventTarget | null): boolean {
  return target instanceof Element && target.matches("a, button, summary, [role=button]");
}
