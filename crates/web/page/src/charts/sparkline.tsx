// A line without axes, for a row of a table: what a value did lately. A gap stays a gap.

import type { Pair } from "../api/types";
import { columns } from "../text/series";

interface Props {
  points: Pair[];
  /** The value at the upper edge; absent: the largest. */
  top?: number;
  width?: number;
  height?: number;
}

export function Sparkline({ points, top, width = 72, height = 18 }: Props) {
  return (
    <svg
      class="sparkline"
      width={width}
      height={height}
      viewBox={`0 0 ${width} ${height}`}
      aria-hidden="true"
    >
      <path d={line(points, top, width, height)} />
    </svg>
  );
}

function line(points: Pair[], top: number | undefined, width: number, height: number): string {
  const [times, values] = columns(points.map(([timestamp, value]) => ({ timestamp, value })));
  const first = times[0] ?? 0;
  const length = (times.at(-1) ?? 0) - first || 1;
  const known = values.filter((value) => value !== null);
  const most = top ?? Math.max(...known, 1e-9);
  let path = "";
  let isDown = false;
  for (let index = 0; index < times.length; index += 1) {
    const value = values[index];
    if (value == null) {
      isDown = false;
      continue;
    }
    const x = 1 + (((times[index] ?? 0) - first) / length) * (width - 2);
    const y = height - 1 - Math.min(1, Math.max(0, value / most)) * (height - 2);
    path += `${isDown ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    // A single point between two gaps is drawn as a short dash.
    if (!isDown && values[index + 1] == null) path += "h1.5";
    isDown = true;
  }
  return path;
}
