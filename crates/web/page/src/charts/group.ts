// What charts side by side share: the span of time, a zoom, and the cross-hair.

import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { now } from "../text/time";

export interface ChartGroup {
  key: string;
  /** Length of what is shown, in seconds, while nothing is zoomed. */
  lengthS: Signal<number>;
  /** From and to in seconds; null: the newest. */
  zoom: Signal<[number, number] | null>;
  /** What is shown, in seconds. */
  range: ReadonlySignal<[number, number]>;
  /** Where the cross-hair stands, in seconds. */
  cursor: Signal<number | null>;
}

let groups = 0;

/** The device's clock is ahead of this machine's by `aheadMs`: its points are by its own clock. */
export function chartGroup(lengthS: number, aheadMs: ReadonlySignal<number>): ChartGroup {
  groups += 1;
  const length = signal(lengthS);
  const zoom = signal<[number, number] | null>(null);
  const range = computed<[number, number]>(() => {
    if (zoom.value) return zoom.value;
    const edge = (now.value + aheadMs.value) / 1000;
    return [edge - length.value, edge];
  });
  return { key: `charts-${groups}`, lengthS: length, zoom, range, cursor: signal(null) };
}
