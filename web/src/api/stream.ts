/** Events from the server. A stream goes on behind what it had after a break, and rests while nobody looks at the page. */
import { effect } from "@preact/signals";
import { connection, returns } from "../state";
import { get } from "./http";

type Handlers = Record<string, (data: unknown) => void>;

const FIRST_WAIT = 500;
const LONGEST_WAIT = 8000;

export class EventStream {
  private source: EventSource | null = null;
  private timer = 0;
  private wait = FIRST_WAIT;
  private position = "";
  private isOver = false;
  private readonly stop: () => void;

  /** `address` is asked for with the id of the last event, which is empty at first. `end` of the stream ends it. */
  constructor(
    private readonly address: (position: string) => string,
    private readonly handlers: Handlers,
    private readonly opened: () => void = () => {},
  ) {
    document.addEventListener("visibilitychange", this.look);
    this.stop = effect(() => void (returns.value, this.look()));
  }

  close(): void {
    this.isOver = true;
    this.stop?.();
    document.removeEventListener("visibilitychange", this.look);
    this.rest();
  }

  /** A browser has few connections to one server, so a page that is out of sight holds none. */
  private readonly look = () => {
    if (document.hidden) this.rest();
    else if (!this.source && !this.isOver) this.open();
  };

  private rest(): void {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  private open(): void {
    const source = new EventSource(this.address(this.position));
    this.source = source;
    source.onopen = () => {
      this.wait = FIRST_WAIT;
      connection.value = "here";
      this.opened();
    };
    source.onerror = () => this.again();
    for (const [name, handle] of Object.entries(this.handlers)) {
      source.addEventListener(name, (event) => {
        if (event.lastEventId) this.position = event.lastEventId;
        handle(event.data ? JSON.parse(event.data) : null);
        if (name === "end") this.close();
      });
    }
  }

  private again(): void {
    this.rest();
    if (this.isOver) return;
    void get("v1/whoami").catch(() => {}); // says whether the server is away or has only ended this stream
    this.timer = window.setTimeout(this.look, this.wait);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT);
  }
}
