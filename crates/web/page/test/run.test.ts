// Many letters, one after the other.

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Run } from "../src/pages/letters/run";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function answering(answer: (path: string) => Response): string[] {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (path: string) => {
    asked.push(path);
    return answer(path);
  });
  return asked;
}

const sent = () => Response.json({ sequence: 1, outcome: "sent again" });

it("waits as long as the service says, and then asks once more", async () => {
  let isBusy = true;
  const asked = answering(() => {
    if (!isBusy) return sent();
    isBusy = false;
    return new Response("{}", { status: 429, headers: { "Retry-After": "3" } });
  });
  const run = new Run("replay", [7], { dryRun: false });
  const ended = run.start();
  await vi.advanceTimersByTimeAsync(2_900);
  expect(asked).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(200);
  await ended;
  expect(run.outcomes.value.get("sent again")).toBe(1);
  expect(run.gone.has(7)).toBe(true);
});

it("keeps to its rate, and ends at once where it is stopped", async () => {
  const asked = answering(sent);
  const run = new Run("replay", [1, 2, 3, 4, 5, 6], { dryRun: false, perSecond: 1 });
  const ended = run.start();
  await vi.advanceTimersByTimeAsync(2_100);
  expect(asked).toHaveLength(3);
  run.stop();
  await ended;
  expect(run.done.value).toBe(3);
  expect(run.isRunning.value).toBe(false);
});
