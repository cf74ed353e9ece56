// Something that is read from the service and kept fresh while it is shown.
//
// Promises: what was read stays on screen when a later reading fails, and says since when it is old;
// only the newest question's answer is taken.

import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { Problem } from "./http";

export interface Resource<T> {
  /** What was last read; undefined: nothing yet. */
  data: Signal<T | undefined>;
  /** Why the last reading failed; undefined: it did not. */
  problem: Signal<Problem | undefined>;
  /** When `data` was read, by this machine's clock. */
  readAt: Signal<number>;
  /** Whether a reading is under way. */
  isReading: Signal<boolean>;
  refresh: () => Promise<void>;
}

/** Reads now, when one of `inputs` changes, and every `everyMs` while the page is looked at. */
export function useResource<T>(
  read: (abort: AbortSignal) => Promise<T>,
  inputs: readonly unknown[],
  everyMs?: number,
): Resource<T> {
  const resource = useMemo(() => make(read), inputs);
  useEffect(() => {
    void resource.refresh();
    const timer = everyMs && setInterval(() => !document.hidden && resource.refresh(), everyMs);
    const again = () => !document.hidden && everyMs && resource.refresh();
    document.addEventListener("visibilitychange", again);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", again);
      resource.stop();
    };
  }, [resource, everyMs]);
  return resource;
}

function make<T>(read: (abort: AbortSignal) => Promise<T>): Resource<T> & { stop: () => void } {
  const data = signal<T | undefined>(undefined);
  const problem = signal<Problem | undefined>(undefined);
  const readAt = signal(0);
  const isReading = signal(false);
  let under: AbortController | undefined;
  const refresh = async () => {
    under?.abort();
    const own = new AbortController();
    under = own;
    isReading.value = true;
    try {
      const answer = await read(own.signal);
      if (own.signal.aborted) return;
      data.value = answer;
      problem.value = undefined;
      readAt.value = Date.now();
    } catch (error) {
      if (own.signal.aborted) return;
      problem.value = asProblem(error);
    } finally {
      if (under === own) isReading.value = false;
    }
  };
  return { data, problem, readAt, isReading, refresh, stop: () => under?.abort() };
}

/** Any error in the words of a problem. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new Problem(-1, "a fault of this page", detail);
}
