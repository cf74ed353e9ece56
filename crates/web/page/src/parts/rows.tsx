// A long table of which only what can be seen exists. The page itself scrolls; rows have one height.
//
// Promises: arrow keys, Home, End and Page keys move through all rows, Enter opens; the number of
// elements does not grow with the number of rows.

import { type Signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

/** Rows beyond the edge, so that scrolling does not show emptiness. */
const BEYOND = 8;

interface Props<T> {
  rows: readonly T[];
  keyOf: (row: T) => string;
  heightPx: number;
  columns: number;
  label: string;
  head: ComponentChildren;
  cells: (row: T) => ComponentChildren;
  open: (row: T) => void;
  /** Told which rows can be seen. */
  seen?: Signal<readonly T[]>;
  look?: string;
}

export function Rows<T>(props: Props<T>) {
  const { rows, keyOf, heightPx, label, head, cells, open, seen, look = "" } = props;
  const body = useRef<HTMLDivElement>(null);
  const range = useSignal<[number, number]>([0, 40]);
  const active = useSignal(-1);

  useLayoutEffect(() => {
    const measure = () => {
      const top = body.current?.getBoundingClientRect().top ?? 0;
      const first = Math.max(0, Math.floor(-top / heightPx) - BEYOND);
      const last = Math.min(rows.length, Math.ceil((innerHeight - top) / heightPx) + BEYOND);
      const [from, until] = range.peek();
      if (first !== from || last !== until) range.value = [first, Math.max(first, last)];
    };
    measure();
    addEventListener("scroll", measure, { passive: true });
    addEventListener("resize", measure);
    return () => {
      removeEventListener("scroll", measure);
      removeEventListener("resize", measure);
    };
  }, [rows.length, heightPx, range]);

  const [from, until] = range.value;
  const shown = rows.slice(from, until);
  useEffect(() => {
    if (seen) seen.value = rows.slice(from, until);
  }, [rows, from, until, seen]);

  const onKey = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor(innerHeight / heightPx) - 4);
    const steps: Record<string, number> = {
      ArrowDown: active.value + 1,
      ArrowUp: active.value - 1,
      PageDown: active.value + page,
      PageUp: active.value - page,
      Home: 0,
      End: rows.length - 1,
    };
    const row = rows[active.value];
    if (event.key === "Enter" && row) return open(row);
    const to = steps[event.key];
    if (to === undefined || rows.length === 0) return;
    event.preventDefault();
    active.value = Math.min(rows.length - 1, Math.max(0, to));
    bringIntoView(body.current, active.value, heightPx);
  };

  return (
    <div
      class={`rows ${look}`}
      role="grid"
      tabIndex={0}
      aria-label={label}
      aria-rowcount={rows.length + 1}
      aria-colcount={props.columns}
      aria-activedescendant={active.value >= 0 ? `row-${active.value}` : undefined}
      onKeyDown={onKey}
    >
      <div class="head" role="row" aria-rowindex={1}>
        {head}
      </div>
      <div
        class="body"
        role="rowgroup"
        ref={body}
        style={{ height: `${rows.length * heightPx}px` }}
      >
        {shown.map((row, index) => (
          <div
            key={keyOf(row)}
            id={`row-${from + index}`}
            role="row"
            aria-rowindex={from + index + 2}
            aria-selected={from + index === active.value}
            class="line"
            style={{
              transform: `translateY(${(from + index) * heightPx}px)`,
              height: `${heightPx}px`,
            }}
            onClick={(event) => {
              const isPlain = !(event.target as Element).closest("a, button");
              if (isPlain && getSelection()?.type !== "Range") open(row);
            }}
          >
            {cells(row)}
          </div>
        ))}
      </div>
    </div>
  );
}

function bringIntoView(body: HTMLElement | null, index: number, heightPx: number): void {
  if (!body) return;
  const top = body.getBoundingClientRect().top + index * heightPx;
  // Below the bar and the table's own head.
  const ceiling = 96;
  if (top < ceiling) scrollBy(0, top - ceiling);
  else if (top + heightPx > innerHeight) scrollBy(0, top + heightPx - innerHeight);
}
