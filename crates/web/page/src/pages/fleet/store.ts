// Every device that we may see, in memory, so that filtering answers with each key.
//
// Promises: rows that were read stay while they are read anew; a device is never shown in a state
// that is older than the one shown before; what the pictures of a row need is asked for only while
// the row can be seen.

import { batch, computed, type ReadonlySignal, signal } from "@preact/signals";
import { get, type Parameters, type Problem } from "../../api/http";
import type { PresenceChange } from "../../api/live";
import { asProblem } from "../../api/resource";
import type { Device, DevicePage, FleetCounts, Pair } from "../../api/types";

/** Devices of one answer. */
const PAGE = 1_000;
/** Devices whose metrics are asked for in one request. */
const ASKED_AT_ONCE = 40;
const SPARK_POINTS = 30;
export const ROW_METRICS = ["cpu_percent", "memory_percent", "disk_percent"] as const;

export class FleetStore {
  readonly rows = signal<readonly Device[]>([]);
  readonly counts = signal<FleetCounts | undefined>(undefined);
  readonly problem = signal<Problem | undefined>(undefined);
  /** When all rows were last read; 0: not yet. */
  readonly readAt = signal(0);
  /** Newest points by device. */
  readonly points = signal<ReadonlyMap<string, Record<string, Pair[]>>>(new Map());
  /** The version that most devices should have: the highest that any reports. */
  readonly newestVersion: ReadonlySignal<string | undefined> = computed(() =>
    highest(this.rows.value),
  );

  /** Reads all devices, page by page. The first time they appear as they come. */
  async load(abort: AbortSignal): Promise<void> {
    try {
      const read: Device[] = [];
      await this.#pages({ sort: "name" }, read, abort);
      await this.#pages({ sort: "name", state: "unseen" }, read, abort);
      if (abort.aborted) return;
      batch(() => {
        this.rows.value = read;
        this.readAt.value = Date.now();
        this.problem.value = undefined;
      });
    } catch (error) {
      if (!abort.aborted) this.problem.value = asProblem(error);
    }
  }

  async #pages(query: Parameters, read: Device[], abort: AbortSignal): Promise<void> {
    let after: string | undefined;
    do {
      const page: DevicePage = await get("/v1/devices", { ...query, limit: PAGE, after }, abort);
      read.push(...page.devices);
      after = page.next ?? undefined;
      if (this.readAt.peek() === 0) this.rows.value = [...read];
    } while (after !== undefined && !abort.aborted);
  }

  async loadCounts(abort: AbortSignal): Promise<void> {
    try {
      const counts = await get<FleetCounts>("/v1/fleet", {}, abort);
      if (!abort.aborted) this.counts.value = counts;
    } catch {
      // The rows' own reading says what is wrong.
    }
  }

  /** Reads rows and their points anew. */
  async freshen(rows: readonly Device[], abort: AbortSignal): Promise<void> {
    const ids = rows.filter((row) => row.last_heartbeat !== null).map((row) => row.device);
    for (let start = 0; start < ids.length; start += ASKED_AT_ONCE) {
      const device = ids.slice(start, start + ASKED_AT_ONCE);
      const query = { device, metric: ROW_METRICS, points: SPARK_POINTS, limit: ASKED_AT_ONCE * 2 };
      const page = await get<DevicePage>("/v1/devices", query, abort);
      if (abort.aborted) return;
      this.#put(page.devices);
    }
  }

  #put(fresh: readonly Device[]): void {
    const byKey = new Map(fresh.map((row) => [keyOf(row), row]));
    const points = new Map(this.points.peek());
    for (const row of fresh) if (row.metrics) points.set(keyOf(row), row.metrics);
    batch(() => {
      this.points.value = points;
      this.rows.value = this.rows.peek().map((row) => byKey.get(keyOf(row)) ?? row);
    });
  }

  /** What was pushed. An unknown device appears with the next reading. */
  apply(changes: PresenceChange[]): void {
    const byKey = new Map(changes.map((change) => [`${change.tenant}/${change.device}`, change]));
    this.rows.value = this.rows.peek().map((row) => {
      const change = byKey.get(keyOf(row));
      const isNewer = change && change.at >= (row.last_online_change ?? 0);
      return isNewer ? { ...row, online: change.online, last_online_change: change.at } : row;
    });
  }

  /** Forgets everything: somebody else signed in. */
  clear(): void {
    batch(() => {
      this.rows.value = [];
      this.counts.value = undefined;
      this.points.value = new Map();
      this.readAt.value = 0;
      this.problem.value = undefined;
    });
  }
}

/** Two tenants may report a device of the same id. */
export function keyOf(row: Device): string {
  return `${row.tenant}/${row.device}`;
}

function highest(rows: readonly Device[]): string | undefined {
  const versions = new Set<string>();
  // Whatever else somebody calls a version says nothing of the others.
  for (const row of rows)
    if (/^\d+\.\d+/.test(row.agent_version ?? "")) versions.add(row.agent_version ?? "");
  return [...versions].sort(compareVersions).at(-1);
}

/** Numbers as numbers: 0.10.0 is after 0.9.1. */
export function compareVersions(a: string, b: string): number {
  const left = a.split(/[.+-]/).map(Number);
  const right = b.split(/[.+-]/).map(Number);
  for (let index = 0; index < 3; index += 1) {
    const difference = (left[index] || 0) - (right[index] || 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

export const fleet = new FleetStore();
