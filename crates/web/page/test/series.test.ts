// What is drawn: gaps stay gaps, each point once, counters as rates.

import { describe, expect, it } from "vitest";
import { columns, merged, type Point, rates } from "../src/text/series";

const point = (timestamp: number, value: number): Point => ({ timestamp, value });
const every = (from: number, count: number, step: number) =>
  Array.from({ length: count }, (_, index) => point(from + index * step, index));

describe("merging", () => {
  it("takes what repeats once, and what comes late to its place", () => {
    const old = [point(1, 1), point(3, 3)];
    expect(merged(old, [point(3, 33), point(2, 2), point(4, 4)], 10)).toEqual([
      point(1, 1),
      point(2, 2),
      point(3, 33),
      point(4, 4),
    ]);
  });
  it("keeps the newest", () => {
    expect(merged(every(0, 5, 1000), [point(9000, 9)], 2)).toEqual([
      point(4000, 4),
      point(9000, 9),
    ]);
  });
});

describe("columns", () => {
  it("puts an empty value into a gap, and none where points are regular", () => {
    const points = [...every(0, 5, 2000), ...every(60_000, 3, 2000)];
    const [times, values] = columns(points);
    expect(times[5]).toBe((8000 + 60_000) / 2000);
    expect(values.filter((value) => value === null)).toHaveLength(1);
    expect(values[5]).toBeNull();
  });
  it("takes a missing point of a slow metric as no gap", () => {
    expect(columns(every(0, 4, 60_000))[1]).not.toContain(null);
  });
});

describe("rates", () => {
  it("are growth a second, and nothing where a counter began anew", () => {
    const counter = [point(0, 100), point(2000, 300), point(4000, 50), point(6000, 150)];
    expect(rates(counter)).toEqual([point(2000, 100), point(6000, 50)]);
  });
});
