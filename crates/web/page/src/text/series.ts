// Points as they come from the API, brought to what is drawn.

export interface Point {
  /** Milliseconds since 1970 by the device's clock. */
  timestamp: number;
  value: number;
}

/** Silence of so many usual distances between points is a gap. */
const GAP_DISTANCES = 3;
/** A distance below this is no gap, in milliseconds: points are never that regular. */
const GAP_AT_LEAST_MS = 5_000;

/** Points of two sources as one, by time, each time stamp once, the newer source winning. */
export function merged(old: readonly Point[], fresh: readonly Point[], keep: number): Point[] {
  const last = old.at(-1);
  const first = fresh[0];
  if (!first) return old as Point[];
  // Nearly always what is fresh follows what is there.
  if (!last || first.timestamp > last.timestamp) return [...old, ...ordered(fresh)].slice(-keep);
  return ordered([...old, ...fresh]).slice(-keep);
}

function ordered(points: readonly Point[]): Point[] {
  const byTime = new Map<number, Point>();
  for (const point of points) byTime.set(point.timestamp, point);
  return [...byTime.values()].sort((a, b) => a.timestamp - b.timestamp);
}

/** Growth a second of a counter; where it falls it began anew, and there is no value. */
export function rates(points: readonly Point[]): Point[] {
  const found: Point[] = [];
  for (let index = 1; index < points.length; index += 1) {
    const before = points[index - 1];
    const point = points[index];
    if (!before || !point) continue;
    const seconds = (point.timestamp - before.timestamp) / 1000;
    const growth = point.value - before.value;
    if (seconds > 0 && growth >= 0) {
      found.push({ timestamp: point.timestamp, value: growth / seconds });
    }
  }
  return found;
}

/** The usual distance between points, in milliseconds: the median. */
export function usualDistance(points: readonly Point[]): number {
  const distances: number[] = [];
  for (let index = 1; index < points.length; index += 1) {
    distances.push((points[index]?.timestamp ?? 0) - (points[index - 1]?.timestamp ?? 0));
  }
  distances.sort((a, b) => a - b);
  return distances[Math.floor(distances.length / 2)] ?? 0;
}

/** Columns for a chart, in seconds; an empty value stands in each gap, so that no line bridges it. */
export function columns(points: readonly Point[]): [number[], (number | null)[]] {
  const gap = Math.max(GAP_AT_LEAST_MS, GAP_DISTANCES * usualDistance(points));
  const times: number[] = [];
  const values: (number | null)[] = [];
  let before = Number.NaN;
  for (const { timestamp, value } of points) {
    if (timestamp - before > gap) {
      times.push((before + timestamp) / 2000);
      values.push(null);
    }
    times.push(timestamp / 1000);
    values.push(value);
    before = timestamp;
  }
  return [times, values];
}
