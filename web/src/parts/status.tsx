/** The state of a task as a dot and a word, so that it does not depend on colour. */
import { inWords } from "../facts";

export function Status({ status, cause }: { status: string; cause?: string | null | undefined }) {
  const why = cause && cause !== "timeout" ? inWords(cause) : "";
  return (
    <span class={`status state-${status}`}>
      <i class="dot" aria-hidden="true" />
      {inWords(status)}
      {why && <span class="cause">{why}</span>}
    </span>
  );
}
