// On a narrow screen a row of links is wider than it: the one where we are is moved into sight.

import { useEffect, useRef } from "preact/hooks";

/** For the `ref` of a row of links, one of which is `aria-current`; `where` says when it changes. */
export function useCurrentInView(where: string) {
  const row = useRef<HTMLElement>(null);
  useEffect(() => {
    const link = row.current?.querySelector("[aria-current]");
    if (!row.current || !link) return;
    const [outer, inner] = [row.current.getBoundingClientRect(), link.getBoundingClientRect()];
    // The row alone, not the page with it.
    if (inner.left < outer.left) row.current.scrollLeft -= outer.left - inner.left;
    if (inner.right > outer.right) row.current.scrollLeft += inner.right - outer.right;
  }, [where]);
  return row;
}
