/** Who the viewer is, and whether the server is back after it was away. */
import { effect } from "@preact/signals";
import { connection, returns, session, whoami } from "../state";
import { get } from "./http";
import type { Whoami } from "./types";

const AGAIN = 1500;

/** Ask once; while the server is away, ask again until it answers. */
export async function startSession(): Promise<void> {
  effect(() => {
    if (connection.value === "lost") void comeBack();
  });
  await ask();
}

async function ask(): Promise<boolean> {
  try {
    whoami.value = await get<Whoami>("v1/whoami");
    session.value = "here";
    return true;
  } catch {
    return false;
  }
}

let waiting = false;

async function comeBack(): Promise<void> {
  if (waiting) return;
  waiting = true;
  do await new Promise((resolve) => setTimeout(resolve, AGAIN));
  while (!(await ask()) && session.value !== "needed");
  waiting = false;
  returns.value++;
}
