/** What is said in place of content: nothing there, something wrong. */
import type { ComponentChildren } from "preact";
import { Problem } from "../api/http";
import { visible } from "../format/text";

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** While a view has nothing to show; it is seen only when that takes long. */
function Waiting() {
  return <p class="waiting quiet" role="status">Loading…</p>;
}

/** In place of a view that has no data yet: why, or that it is under way. */
export function Missing({ error }: { error: Error | null }) {
  return error ? <Failed error={error} /> : <Waiting />;
}

/** An error in place of a view; while the server is away the banner says it already. */
function Failed({ error }: { error: Error }) {
  if (!(error instanceof Problem)) return <Empty title="The server does not answer"><p>This page asks again until it does.</p></Empty>;
  const isTheirs = error.status >= 500;
  return (
    <Empty title={isTheirs ? "The server cannot answer that now" : "That did not work"}>
      <p>{visible(error.message)}</p>
      <p>{isTheirs ? "This page asks again." : <a href="#/tasks">See all tasks</a>}</p>
    </Empty>
  );
}
