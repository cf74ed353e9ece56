// Replaying or discarding many letters, one request a letter.
//
// Promises: what would happen can be asked first; it keeps to a rate, and can be stopped between two
// letters; every letter's outcome is counted, also of those that stayed.

import { signal } from "@preact/signals";
import { ask, Problem } from "../../api/http";
import type { LetterOutcome } from "../../api/types";

export type Verb = "replay" | "discard";

/** Requests under way at one time. The service itself keeps replays at 100 a second. */
const AT_ONCE = 4;
/** How often a letter is asked for again where the service wants us to wait. */
const TRIES = 5;
/** Wait where the service names none, in seconds. */
const USUAL_WAIT_S = 2;

export interface Options {
  dryRun: boolean;
  because?: string;
  /** Letters a second at most; undefined: as fast as the service takes them. */
  perSecond?: number;
}

export class Run {
  readonly done = signal(0);
  readonly isRunning = signal(false);
  /** Letters by what became, or would become, of them. */
  readonly outcomes = signal<ReadonlyMap<string, number>>(new Map());
  readonly gone = new Set<number>();
  #isStopped = false;
  #nextTurnAt = 0;
  #wakers = new Set<() => void>();

  constructor(
    readonly verb: Verb,
    readonly sequences: readonly number[],
    readonly options: Options,
  ) {}

  stop(): void {
    this.#isStopped = true;
    for (const wake of this.#wakers) wake();
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
        await this.#turn();
        if (this.#isStopped) return;
        this.#note(await this.#one(next, TRIES));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    this.isRunning.value = false;
  }

  /** Waits for the turn that the rate gives the next letter. */
  async #turn(): Promise<void> {
    const { perSecond } = this.options;
    if (perSecond === undefined) return;
    const now = Date.now();
    const turn = Math.max(now, this.#nextTurnAt);
    this.#nextTurnAt = turn + 1000 / perSecond;
    await this.#wait(turn - now);
  }

  /** Ends early when it is stopped. */
  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#wakers.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#wakers.add(wake);
    });
  }

  async #one(sequence: number, tries: number): Promise<string> {
    try {
      const answer = await ask<LetterOutcome>("POST", `/v1/dead-letters/${sequence}/${this.verb}`, {
        query: this.#query(),
      });
      if (!this.options.dryRun) this.gone.add(sequence);
      return answer.outcome;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 429 && tries > 1 && !this.#isStopped) {
        await this.#wait(1000 * (error.retryAfterSeconds ?? USUAL_WAIT_S));
        return this.#one(sequence, tries - 1);
      }
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
