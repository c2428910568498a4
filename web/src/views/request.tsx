/** What was asked for, and the whole document, folded away until somebody wants it. */
import type { Task } from "../api/types";
import { Copy } from "../parts/actions";
import { visible } from "../format/text";
import { requestOf } from "../task/copies";

const MOST = 200_000;

export function Request({ task }: { task: Task }) {
  return (
    <section class="card folded" aria-label="Details">
      <Folded title="What was asked for" value={requestOf(task)} />
      <Folded title="The whole document" value={task} />
    </section>
  );
}

function Folded({ title, value }: { title: string; value: unknown }) {
  const text = () => JSON.stringify(value, null, 2);
  const shown = visible(text());
  return (
    <details>
      <summary>{title}</summary>
      <div class="json">
        <Copy text={text} label={`Copy: ${title}`} />
        <pre tabIndex={0} role="group" aria-label={title}>{shown.length > MOST ? `${shown.slice(0, MOST)}\n… cut here; the copy is whole` : shown}</pre>
      </div>
    </details>
  );
}
