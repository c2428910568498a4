/** Stored output, read in order and no further than was asked for. */
import { answer, taskPath } from "../api/http";
import type { StreamName } from "../api/types";
import type { LineBuffer } from "./buffer";

/** Of each stream at once; the viewer asks for more, or downloads. */
export const AT_ONCE = 16 << 20;

/** `attempt` is that of a past one; null is the last one. */
export function logPath(id: string, stream: StreamName, attempt: number | null): string {
  return `${taskPath(id, "logs", stream)}${attempt === null ? "" : `?attempt=${attempt}`}`;
}

/** Bytes in base64, as events carry them. */
export function decoded(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** Read on from where the buffer is, up to `until`; `progress` after each piece. */
export async function read(path: string, buffer: LineBuffer, until: number, signal: AbortSignal, progress: () => void): Promise<void> {
  const headers = buffer.end ? { Range: `bytes=${buffer.end}-` } : {};
  const response = await answer(path, { headers, signal });
  const reader = response.body?.getReader();
  while (reader && buffer.end < until) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer.append(value);
    progress();
  }
  await reader?.cancel();
}
