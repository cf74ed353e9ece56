// Dead letters within a filter, read page by page, oldest first.

import { batch, signal } from "@preact/signals";
import { get, type Parameters, type Problem } from "../../api/http";
import { asProblem } from "../../api/resource";
import type { Letter, LetterPage } from "../../api/types";

const PAGE = 256;
/** Pages that are read at once. */
const PAGES_AT_ONCE = 4;

export class LetterStore {
  readonly letters = signal<readonly Letter[]>([]);
  /** Where the next page begins; undefined: all are read. */
  readonly next = signal<number | undefined>(undefined);
  readonly isRead = signal(false);
  readonly problem = signal<Problem | undefined>(undefined);

  constructor(readonly filter: Parameters) {}

  /** Reads from the beginning. */
  async load(abort: AbortSignal): Promise<void> {
    await this.#read([], undefined, abort);
  }

  /** Reads on. */
  async more(abort: AbortSignal): Promise<void> {
    await this.#read([...this.letters.peek()], this.next.peek(), abort);
  }

  async #read(read: Letter[], from: number | undefined, abort: AbortSignal): Promise<void> {
    let next = from;
    try {
      for (let pages = 0; pages < PAGES_AT_ONCE; pages += 1) {
        const query = { ...this.filter, limit: PAGE, from: next };
        const page = await get<LetterPage>("/v1/dead-letters", query, abort);
        if (abort.aborted) return;
        read.push(...page.letters);
        next = page.next ?? undefined;
        if (next === undefined) break;
      }
      batch(() => {
        this.letters.value = read;
        this.next.value = next;
        this.isRead.value = true;
        this.problem.value = undefined;
      });
    } catch (error) {
      if (!abort.aborted) this.problem.value = asProblem(error);
    }
  }

  /** Takes away what is gone. */
  drop(sequences: ReadonlySet<number>): void {
    this.letters.value = this.letters.peek().filter((letter) => !sequences.has(letter.sequence));
  }
}

/** Letters by time, in slots of one length from the oldest to the newest. */
export function overTime(
  letters: readonly Letter[],
  slots: number,
): { from: number; letters: number }[] {
  const times = letters.map((letter) => letter.parked_ms);
  const first = times.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const last = times.reduce((a, b) => Math.max(a, b), 0);
  if (times.length === 0) return [];
  const length = Math.max(1000, (last - first + 1) / slots);
  const found = Array.from({ length: slots }, (_, index) => ({
    from: first + index * length,
    letters: 0,
  }));
  for (const at of times) {
    const slot = found[Math.min(slots - 1, Math.floor((at - first) / length))];
    if (slot) slot.letters += 1;
  }
  return found;
}
