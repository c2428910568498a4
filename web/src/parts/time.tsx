/** Moments and ages; the exact time in UTC is shown on hover. */
import { age, between, clock, utc } from "../format/time";
import { now } from "../state";

export function Moment({ at }: { at: string | null | undefined }) {
  if (!at) return <span class="quiet">–</span>;
  return <time dateTime={at} title={utc(at)}>{clock(at, new Date(now.value))}</time>;
}

export function Ago({ at }: { at: string | null | undefined }) {
  if (!at) return null;
  return <time dateTime={at} title={`${clock(at)}\n${utc(at)}`}>{age(between(at, now.value))}</time>;
}
