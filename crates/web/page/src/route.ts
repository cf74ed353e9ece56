// Where we are: path and query of the address, as signals. The query holds every filter, so that a
// link shows to others what we see.

import { batch, signal } from "@preact/signals";

export const path = signal(location.pathname);
export const query = signal(new URLSearchParams(location.search));

function read(): void {
  batch(() => {
    path.value = location.pathname;
    query.value = new URLSearchParams(location.search);
  });
}

/** Listens to back and forward. */
export function startRoute(): void {
  addEventListener("popstate", read);
}

/** Goes to an address of ours. */
export function go(to: string, how: "push" | "replace" = "push"): void {
  if (how === "push") history.pushState(null, "", to);
  else history.replaceState(null, "", to);
  read();
  if (how === "push") scrollTo(0, 0);
}

/** Sets parameters of the query; an empty one is removed. Typing does not fill the history. */
export function setQuery(changes: Record<string, string | undefined>): void {
  const changed = new URLSearchParams(query.value);
  for (const [name, value] of Object.entries(changes)) {
    if (value) changed.set(name, value);
    else changed.delete(name);
  }
  go(withQuery(path.value, changed), "replace");
}

/** An address with its query, where there is one. */
export function withQuery(to: string, parameters: URLSearchParams): string {
  const text = parameters.toString();
  return text === "" ? to : `${to}?${text}`;
}

/** Follows links to ourselves without loading the page anew. For the document's click event. */
export function followLink(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element | null)?.closest("a");
  if (!link || link.target || link.origin !== location.origin || link.hasAttribute("download"))
    return;
  if (link.pathname.startsWith("/v1/") || link.pathname.startsWith("/assets/")) return;
  event.preventDefault();
  go(link.pathname + link.search);
}
