/** The output of one attempt: what is here of each stream, and whether more is to be had. */
import { signal } from "@preact/signals";
import type { Logs, Missed, Piece, StreamName } from "../api/types";
import { LineBuffer } from "./buffer";
import { AT_ONCE, decoded, logPath, read } from "./source";

/** One stream. `stage`: it comes while it runs, it is read from storage, a part of it was read, it is whole, it cannot be read. */
export class StreamLog {
  buffer = new LineBuffer();
  readonly version = signal(0);
  readonly stage = signal<"live" | "reading" | "part" | "whole" | "failed">("live");
  readonly error = signal("");
  /** Bytes that could not be sent while it runs. */
  readonly late = signal(0);
  private isDue = false;

  constructor(readonly name: StreamName) {}

  /** Views look again with the next frame, however much comes. */
  readonly changed = (): void => {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.version.value++;
    });
  };
}

export class AttemptLog {
  readonly streams: Readonly<Record<StreamName, StreamLog>> = { stdout: new StreamLog("stdout"), stderr: new StreamLog("stderr") };
  private readonly abort = new AbortController();
  private isPast = false;

  constructor(
    readonly id: string,
    readonly attempt: number,
  ) {}

  take(piece: Piece): void {
    const stream = this.streams[piece.stream];
    stream.late.value = 0;
    stream.buffer.take(piece.offset, decoded(piece.data));
    stream.changed();
  }

  miss(missed: Missed): void {
    this.streams[missed.stream].late.value = missed.bytes;
  }

  /** Nothing comes any more: what is stored beyond what came is read, of no more bytes than are read at once. */
  finish(logs: Logs | null, isPast: boolean): void {
    this.isPast = isPast;
    for (const stream of Object.values(this.streams)) {
      stream.late.value = 0;
      if (logs && stream.buffer.skipped) stream.buffer = new LineBuffer(); // storage has what was not sent
      if (logs && logs[stream.name].bytes > stream.buffer.end) void this.read(stream, logs[stream.name].bytes);
      else stream.stage.value = "whole";
    }
  }

  /** Read a stream of so many bytes on; at most AT_ONCE unless `all` is asked for. */
  async read(stream: StreamLog, bytes: number, all = false): Promise<void> {
    if (stream.stage.value === "reading") return;
    stream.stage.value = "reading";
    try {
      const until = all ? bytes : Math.min(bytes, stream.buffer.end + AT_ONCE);
      await read(logPath(this.id, stream.name, this.isPast ? this.attempt : null), stream.buffer, until, this.abort.signal, stream.changed);
      stream.stage.value = stream.buffer.end < bytes ? "part" : "whole";
    } catch (error) {
      if (this.abort.signal.aborted) return;
      stream.error.value = (error as Error).message;
      stream.stage.value = "failed";
    }
  }

  close(): void {
    this.abort.abort();
  }
}
