// The newest points of every metric of one device: read once, then continued by what is pushed.

import { type Signal, signal } from "@preact/signals";
import { get } from "../api/http";
import { subscribe } from "../api/live";
import type { Pair } from "../api/types";
import { shownAs } from "../text/metric";
import { merged, type Point, rates } from "../text/series";

/** As many as a ring holds by default; what is older is not drawn. */
const KEEP_POINTS = 900;
const SEED_POINTS = 300;

export interface Ring {
  metric: string;
  /** As measured, by time. */
  points: Signal<Point[]>;
  /** What is drawn: a counter's growth a second. */
  drawn: Signal<Point[]>;
}

interface Answer {
  device: string;
  metrics: Record<string, Pair[]>;
}

export class MetricsOfDevice {
  /** Names, sorted; grows when a metric comes for the first time. */
  readonly names = signal<string[]>([]);
  readonly isSeeded = signal(false);
  readonly #rings = new Map<string, Ring>();
  #waiting: Record<string, Pair[]>[] = [];
  #frame = 0;

  constructor(readonly device: string) {}

  /** Reads what is there and goes on with what comes, until the returned function is called. */
  async start(abort: AbortSignal): Promise<void> {
    const path = `/v1/devices/${this.device}/metrics`;
    const answer = await get<Answer>(path, { last: SEED_POINTS }, abort);
    if (abort.aborted) return;
    this.#take([answer.metrics]);
    this.isSeeded.value = true;
    const stop = subscribe({
      what: "metrics",
      device: this.device,
      since: () => this.newest(),
      take: (points) => this.#later(points),
    });
    abort.addEventListener("abort", () => {
      stop();
      cancelAnimationFrame(this.#frame);
    });
  }

  ring(metric: string): Ring | undefined {
    return this.#rings.get(metric);
  }

  /** Time of the newest point of all. */
  newest(): number | undefined {
    let newest: number | undefined;
    for (const { points } of this.#rings.values()) {
      const last = points.peek().at(-1)?.timestamp;
      if (last !== undefined && (newest === undefined || last > newest)) newest = last;
    }
    return newest;
  }

  /** Frames of one moment are drawn once. */
  #later(points: Record<string, Pair[]>): void {
    this.#waiting.push(points);
    if (this.#waiting.length > 1) return;
    this.#frame = requestAnimationFrame(() => {
      const waiting = this.#waiting;
      this.#waiting = [];
      this.#take(waiting);
    });
  }

  #take(frames: Record<string, Pair[]>[]): void {
    const fresh = new Map<string, Point[]>();
    for (const frame of frames) {
      for (const [metric, pairs] of Object.entries(frame)) {
        const points = fresh.get(metric) ?? [];
        for (const [timestamp, value] of pairs) points.push({ timestamp, value });
        fresh.set(metric, points);
      }
    }
    for (const [metric, points] of fresh) this.#add(metric, points);
  }

  #add(metric: string, fresh: Point[]): void {
    const there = this.#rings.get(metric);
    const points = merged(there?.points.peek() ?? [], fresh, KEEP_POINTS);
    const drawn = shownAs(metric).isCounter ? rates(points) : points;
    if (there) {
      there.points.value = points;
      there.drawn.value = drawn;
      return;
    }
    this.#rings.set(metric, { metric, points: signal(points), drawn: signal(drawn) });
    this.names.value = [...this.#rings.keys()].sort();
  }
}
