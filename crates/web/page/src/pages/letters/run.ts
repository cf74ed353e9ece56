// Replaying or discarding many letters, one request a letter.
//
// Promises: what would happen can be asked first; it can be stopped between two letters; every
// letter's outcome is counted, also of those that stayed.

import { signal } from "@preact/signals";
import { ask, Problem } from "../../api/http";
import type { LetterOutcome } from "../../api/types";

export type Verb = "replay" | "discard";

/** Requests under way at one time. The service itself keeps replays at 100 a second. */
const AT_ONCE = 4;

export class Run {
  readonly done = signal(0);
  readonly isRunning = signal(false);
  /** Letters by what became, or would become, of them. */
  readonly outcomes = signal<ReadonlyMap<string, number>>(new Map());
  readonly gone = new Set<number>();
  #isStopped = false;

  constructor(
    readonly verb: Verb,
    readonly sequences: readonly number[],
    readonly options: { dryRun: boolean; because?: string },
  ) {}

  stop(): void {
    this.#isStopped = true;
  }

  async start(): Promise<void> {
    this.isRunning.value = true;
    const waiting = [...this.sequences];
    const work = async () => {
      for (
        let next = waiting.shift();
        next !== undefined && !this.#isStopped;
        next = waiting.shift()
      ) {
        this.#note(await this.#one(next));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    this.isRunning.value = false;
  }

  async #one(sequence: number): Promise<string> {
    try {
      const answer = await ask<LetterOutcome>("POST", `/v1/dead-letters/${sequence}/${this.verb}`, {
        query: this.#query(),
      });
      if (!this.options.dryRun) this.gone.add(sequence);
      return answer.outcome;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 404) this.gone.add(sequence);
      // A service that is away would refuse the rest as well.
      if (error.status === 0 || error.status === 403 || error.status === 401) this.stop();
      return error.status === 404 ? "is gone already" : `stays: ${error.detail}`;
    }
  }

  #query() {
    if (this.verb === "discard") return { because: this.options.because };
    return this.options.dryRun ? { dry_run: "true" } : {};
  }

  #note(outcome: string): void {
    const counts = new Map(this.outcomes.peek());
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    this.outcomes.value = counts;
    this.done.value += 1;
  }
}
