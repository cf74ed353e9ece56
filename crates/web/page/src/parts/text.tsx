// Words and times on the page.

import { inert } from "../text/inert";
import { ago, exact, now } from "../text/time";

/** A time as how long ago; its exact value on hover and for whoever reads the document. */
export function Ago({ at, none = "never" }: { at: number | null | undefined; none?: string }) {
  if (at == null) return <span class="quiet">{none}</span>;
  return (
    <time dateTime={new Date(at).toISOString()} title={exact(at)}>
      {ago(at, now.value)}
    </time>
  );
}

/** Text that a machine or a person elsewhere chose: inert, and its direction does not leak. */
export function Foreign({ children }: { children: string }) {
  return <bdi>{inert(children)}</bdi>;
}

/** The first part of a UUID, whole on hover. */
export function ShortId({ id }: { id: string }) {
  return (
    <span class="mono nowrap" title={id}>
      {id.length > 13 ? `${id.slice(0, 4)}…${id.slice(-6)}` : id}
    </span>
  );
}
