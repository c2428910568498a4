/** Where the viewer is: the part of the address behind `#`, so that the page works below any path of any server. */
import { signal } from "@preact/signals";

export interface Route {
  path: string[];
  query: URLSearchParams;
}

export const route = signal<Route>(parse(typeof location === "undefined" ? "" : location.hash));

if (typeof addEventListener !== "undefined") addEventListener("hashchange", () => (route.value = parse(location.hash)));

/** `#/tasks/abc?line=3` as its parts. An escape that is broken is taken as text. */
export function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { path: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

type Query = Record<string, string | number | null | undefined> | URLSearchParams;

/** The address of a view; what is empty is left out of the query. */
export function href(path: string[], query: Query = {}): string {
  const pairs = query instanceof URLSearchParams ? [...query] : Object.entries(query);
  const given = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text && `?${text}`}`;
}

export function taskHref(id: string): string {
  return href(["tasks", id]);
}

export function go(address: string): void {
  location.hash = address;
}

/** The same view with another query, in place of this entry of the history. */
export function replaceQuery(query: Query): void {
  history.replaceState(null, "", href(route.peek().path, query));
  route.value = parse(location.hash);
}
