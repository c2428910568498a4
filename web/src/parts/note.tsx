/** What is said in place of content: nothing there, something wrong. */
import type { ComponentChildren } from "preact";
import { Problem } from "../api/http";

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** An error in place of a view; while the server is away the banner says it already. */
export function Failed({ error }: { error: Error }) {
  if (!(error instanceof Problem)) return <Empty title="The server does not answer"><p>This page asks again until it does.</p></Empty>;
  return (
    <Empty title={error.status === 404 ? "There is no such thing" : "That did not work"}>
      <p>{error.message}</p>
    </Empty>
  );
}
