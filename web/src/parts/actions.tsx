/** Buttons that do something: copy, ask first, tell what went wrong. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Icon } from "./icon";

export function Copy({ text, label, children }: { text: () => string; label: string; children?: ComponentChildren }) {
  const [isDone, setDone] = useState(false);
  const copy = async () => {
    await toClipboard(text());
    setDone(true);
    setTimeout(setDone, 1500, false);
  };
  return (
    <button type="button" class={children ? "small" : "small icon"} onClick={copy} aria-label={children ? undefined : label} title={label}>
      <Icon name={isDone ? "check" : "copy"} />
      {children}
      <span class="unseen" role="status">{isDone ? "Copied" : ""}</span>
    </button>
  );
}

/** The clipboard is there on HTTPS and loopback alone; elsewhere a selection is copied. */
async function toClipboard(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

interface ActProps {
  label: string;
  /** A question that has to be answered first. */
  ask?: string;
  isBad?: boolean;
  act: () => Promise<void>;
}

/** A button for a request to the server; what goes wrong is told beside it. */
export function Act({ label, ask, isBad, act }: ActProps) {
  const [isBusy, setBusy] = useState(false);
  const [asks, setAsks] = useState(false);
  const [error, setError] = useState("");
  const run = async () => {
    setAsks(false);
    setBusy(true);
    setError("");
    await act().catch((failure: Error) => setError(failure.message));
    setBusy(false);
  };
  return (
    <>
      <button type="button" class={isBad ? "bad" : ""} disabled={isBusy} onClick={() => (ask ? setAsks(true) : void run())}>{label}</button>
      {asks && (
        <Dialog title={label} close={() => setAsks(false)}>
          <p>{ask}</p>
          <div class="buttons">
            <button type="button" onClick={() => setAsks(false)}>Back</button>
            <button type="button" class={isBad ? "bad strong" : "strong"} onClick={run}>{label}</button>
          </div>
        </Dialog>
      )}
      {error && <span class="error" role="alert">{error}</span>}
    </>
  );
}

export function Dialog({ title, close, children }: { title: string; close: () => void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={close} onClick={(event) => event.target === dialog.current && close()} aria-label={title}>
      <div class="inside">
        <h2>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}
