// One chart over time. uPlot draws it; the reading stands in its head as text, so that the value is
// there for everybody, and the picture has its words.

import { effect, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { type Kind, valueText } from "../text/metric";
import type { Point } from "../text/series";
import { columns } from "../text/series";
import { clock } from "../text/time";
import { colour, isDark } from "../theme";
import type { ChartGroup } from "./group";
import type { Ring } from "./metrics_of_device";

export interface Line {
  label: string;
  ring: Ring;
}

interface Props {
  title: string;
  kind: Kind;
  lines: Line[];
  group: ChartGroup;
}

const HEIGHT_PX = 164;
const COLOURS = ["--line-1", "--line-2", "--line-3", "--line-4"];
/** Tops of a percent scale: the smallest above what is shown is taken. */
const PERCENT_TOPS = [5, 10, 25, 50, 100];
/** Distances between the lines of a scale in bytes: powers of two and halves between. */
const BINARY_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);

export function Chart({ title, kind, lines, group }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const index = useSignal<number | null>(null);
  const chart = useRef<uPlot | null>(null);
  const rings = lines.map((line) => line.ring);
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const made = new uPlot(
      options(element.clientWidth, kind, rings.length, group, index),
      [[]],
      element,
    );
    chart.current = made;
    const size = new ResizeObserver(() =>
      made.setSize({ width: element.clientWidth, height: HEIGHT_PX }),
    );
    size.observe(element);
    const stopWatching = whileSeen(element, () =>
      effect(() => {
        const [from, to] = group.range.value;
        made.batch(() => {
          made.setData(aligned(rings.map((ring) => ring.drawn.value)), false);
          made.setScale("x", { min: from, max: to });
        });
      }),
    );
    return () => {
      stopWatching();
      size.disconnect();
      made.destroy();
      chart.current = null;
    };
  }, [kind, rings.map((ring) => ring.metric).join(), group, isDark.value]);

  const moveCursor = (event: KeyboardEvent) => {
    const drawn = chart.current;
    if (!drawn || (event.key !== "ArrowLeft" && event.key !== "ArrowRight")) return;
    event.preventDefault();
    const step = (event.key === "ArrowLeft" ? -1 : 1) * (event.shiftKey ? 40 : 8);
    const width = drawn.over.clientWidth;
    const left = Math.min(width - 1, Math.max(0, (drawn.cursor.left ?? width) + step));
    drawn.setCursor({ left, top: 1 });
  };

  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <Reading
          lines={lines}
          kind={kind}
          at={group.cursor.value}
          isPicked={index.value !== null}
        />
      </figcaption>
      <div
        ref={place}
        class="plot"
        role="img"
        tabIndex={0}
        aria-label={summary(title, kind, rings)}
        onKeyDown={moveCursor}
        onBlur={() => chart.current?.setCursor({ left: -10, top: -10 })}
      />
    </figure>
  );
}

/** The values at the cross-hair, or the newest. */
function Reading({
  lines,
  kind,
  at,
  isPicked,
}: {
  lines: Line[];
  kind: Kind;
  at: number | null;
  isPicked: boolean;
}) {
  return (
    <p class="reading">
      {isPicked && at !== null && <span class="quiet">{clock(at * 1000)}</span>}
      {lines.map((line, number) => {
        const points = line.ring.drawn.value;
        const point = isPicked && at !== null ? nearest(points, at * 1000) : points.at(-1);
        return (
          <span key={line.label}>
            {lines.length > 1 && (
              <>
                <i class={`swatch line-${number + 1}`} />
                <span class="soft">{line.label} </span>
              </>
            )}
            <b>{point ? valueText(kind, point.value) : "no value"}</b>
          </span>
        );
      })}
    </p>
  );
}

/** The point closest to a time, unless that lies in a gap. */
function nearest(points: Point[], at: number): Point | undefined {
  let best: Point | undefined;
  for (const point of points) {
    if (!best || Math.abs(point.timestamp - at) < Math.abs(best.timestamp - at)) best = point;
  }
  return best && Math.abs(best.timestamp - at) < 30_000 ? best : undefined;
}

/** The picture in words. */
function summary(title: string, kind: Kind, rings: Ring[]): string {
  const values = rings.flatMap((ring) => ring.drawn.peek().map((point) => point.value));
  const last = rings[0]?.drawn.peek().at(-1);
  if (values.length === 0 || !last) return `${title}: no points`;
  const least = valueText(kind, Math.min(...values));
  const most = valueText(kind, Math.max(...values));
  return `${title}: now ${valueText(kind, last.value)}, between ${least} and ${most}`;
}

/** Lines with times of their own, brought to common ones. */
function aligned(lines: Point[][]): uPlot.AlignedData {
  const tables = lines.map(columns) as uPlot.AlignedData[];
  const first = tables[0];
  if (tables.length === 1 && first) return first;
  // A time that only the other line has is no gap; an empty value of its own (2) is one.
  return uPlot.join(
    tables,
    tables.map(() => [1, 2]),
  );
}

/** Runs `start` only while the element is near the screen; it returns what stops it. */
function whileSeen(element: Element, start: () => () => void): () => void {
  let stop: (() => void) | undefined;
  const watcher = new IntersectionObserver(
    (entries) => {
      const isSeen = entries.at(-1)?.isIntersecting ?? false;
      if (isSeen && !stop) stop = start();
      if (!isSeen) {
        stop?.();
        stop = undefined;
      }
    },
    { rootMargin: "200px" },
  );
  watcher.observe(element);
  return () => {
    watcher.disconnect();
    stop?.();
  };
}

function options(
  width: number,
  kind: Kind,
  lines: number,
  group: ChartGroup,
  index: { value: number | null },
): uPlot.Options {
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const axis = {
    stroke: colour("--ink-3"),
    font,
    grid: { stroke: colour("--rule"), width: 1 },
    ticks: { show: false },
  };
  const series: uPlot.Series[] = [{}];
  for (let line = 0; line < lines; line += 1) {
    series.push({
      stroke: colour(COLOURS[line % COLOURS.length] ?? "--line-1"),
      width: 1.5,
      fill: lines === 1 ? `color-mix(in srgb, ${colour("--line-1")} 9%, transparent)` : undefined,
      points: { size: 4, show: true, filter: lonely },
    });
  }
  return {
    width,
    height: HEIGHT_PX,
    // To the right half a time of the axis.
    padding: [6, 16, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      points: { size: 7 },
      drag: { x: true, y: false, setScale: false },
      sync: { key: group.key, setSeries: false },
      bind: { dblclick: () => () => (group.zoom.value = null) as null },
    },
    scales: { x: { time: true }, y: { range: (_, least, most) => rangeOf(kind, least, most) } },
    axes: [
      { ...axis, size: 24, space: 70, gap: 4, values: times },
      {
        ...axis,
        size: 62,
        gap: 6,
        space: 34,
        incrs: kind === "bytes" || kind === "bytes_per_s" ? BINARY_STEPS : undefined,
        values: (_, splits) => splits.map((split) => axisText(kind, split)),
      },
    ],
    series,
    hooks: {
      setCursor: [
        (drawn) => {
          index.value = drawn.cursor.idx ?? null;
          const left = drawn.cursor.left ?? -1;
          group.cursor.value = left >= 0 ? drawn.posToVal(left, "x") : null;
        },
      ],
      setSelect: [
        (drawn) => {
          const { left, width: length } = drawn.select;
          if (length < 4) return;
          group.zoom.value = [drawn.posToVal(left, "x"), drawn.posToVal(left + length, "x")];
          drawn.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
}

/** Times of day under the chart, with seconds where the steps are short. */
function times(_: uPlot, splits: number[]): string[] {
  const step = (splits[1] ?? 0) - (splits[0] ?? 0);
  return splits.map((split) => clock(split * 1000).slice(-8, step < 60 ? undefined : -3));
}

/** A value at a line of the scale, without decimals that say nothing. */
function axisText(kind: Kind, value: number): string {
  return valueText(kind, value).replace(/\.0+(?= )/, "");
}

function rangeOf(kind: Kind, least: number | null, most: number | null): [number, number] {
  const top = most ?? 1;
  if (kind === "percent")
    return [0, PERCENT_TOPS.find((step) => step >= top * 1.05) ?? Math.max(100, top)];
  if (kind === "flag") return [0, 1.1];
  if (kind === "celsius") return [Math.min(20, least ?? 20), Math.max(60, top + 5)];
  const bottom = Math.min(0, least ?? 0);
  return [bottom, top <= bottom ? bottom + 1 : top * 1.1];
}

/** A point with gaps on both sides would not be seen as a line: it is drawn as a dot. */
function lonely(drawn: uPlot, line: number): number[] {
  const values = drawn.data[line] ?? [];
  const found: number[] = [];
  const isGap = (index: number) => index < 0 || index >= values.length || values[index] === null;
  for (let index = 0; index < values.length; index += 1) {
    if (!isGap(index) && isGap(index - 1) && isGap(index + 1)) found.push(index);
  }
  return found;
}
