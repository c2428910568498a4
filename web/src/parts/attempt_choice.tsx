/** Chooses the attempt whose output and figures are shown. */
import { replaceQuery } from "../route";

export function AttemptChoice({ last, attempt }: { last: number; attempt: number }) {
  return (
    <div class="choice" role="group" aria-label="Attempt">
      {Array.from({ length: last }, (_, at) => at + 1).map((number) => (
        <button key={number} type="button" aria-pressed={number === attempt} onClick={() => replaceQuery({ attempt: number })}>{number === last ? `Attempt ${number}` : number}</button>
      ))}
    </div>
  );
}
