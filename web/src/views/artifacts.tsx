/** The files that a task left, and those that were not kept. */
import { artifactPath } from "../api/http";
import type { Task } from "../api/types";
import { size } from "../format/size";
import { visible } from "../format/text";
import { Copy } from "../parts/actions";
import { Icon } from "../parts/icon";
import { Moment } from "../parts/time";

export function Artifacts({ task }: { task: Task }) {
  const kept = task.artifacts_stored ?? [];
  const refused = task.artifacts_refused ?? [];
  if (!kept.length && !refused.length) return null;
  return (
    <section class="card" aria-label="Artifacts">
      <h2>Artifacts</h2>
      {task.artifacts_removed_at && <p class="quiet">The artifacts were removed on <Moment at={task.artifacts_removed_at} />.</p>}
      <ul class="files">
        {kept.map((file) => (
          <li key={file.path}>
            {task.artifacts_removed_at ? <span class="path">{visible(file.path)}</span> : (
              <a class="path" href={artifactPath(task._id, file.path)} download><Icon name="download" />{visible(file.path)}</a>
            )}
            <span>{size(file.bytes)}</span>
            <span class="sum" title={file.sha256}>sha256 {visible(file.sha256.slice(0, 12))}…<Copy text={() => file.sha256} label={`Copy the SHA-256 of ${visible(file.path)}`} /></span>
          </li>
        ))}
        {refused.map((file) => (
          <li key={`refused ${file.path}`}><span class="path">{visible(file.path)}</span><span class="warn">not kept</span><span>{visible(file.why)}</span></li>
        ))}
      </ul>
    </section>
  );
}
