// The live connection goes on after a cut where it was. Against a WebSocket of our own making: what
// the browser test cannot time, such as a second cut, is told here.

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { isPaused, liveState, setPaused, startLive, stopLive, subscribe } from "../src/api/live";

class Socket {
  static readonly OPEN = 1;
  static all: Socket[] = [];
  readyState = 1;
  sent: Record<string, unknown>[] = [];
  onmessage: ((frame: { data: string }) => void) | undefined;
  onclose: ((closed: { code: number }) => void) | undefined;
  constructor(readonly url: string) {
    Socket.all.push(this);
  }
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
  }
  says(frame: object) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

const newest = () => Socket.all.at(-1) as Socket;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", Socket);
  Socket.all = [];
});
afterEach(() => {
  stopLive();
  setPaused(false);
  vi.useRealTimers();
});

it("asks after a cut for what came since its newest point", () => {
  startLive();
  newest().says({ type: "hello" });
  let last: number | undefined;
  const stop = subscribe({
    what: "metrics",
    device: "d",
    since: () => last,
    take: (points) => {
      last = points.cpu?.at(-1)?.[0];
    },
  });
  expect(newest().sent).toEqual([{ subscribe: "metrics", device: "d" }]);
  newest().says({ type: "points", device: "d", points: { cpu: [[7000, 1]] } });
  newest().onclose?.({ code: 1006 });
  vi.advanceTimersByTime(2000);
  expect(Socket.all).toHaveLength(2);
  newest().says({ type: "hello" });
  expect(newest().sent).toEqual([{ subscribe: "metrics", device: "d", since: 7000 }]);
  stop();
  expect(newest().sent.at(-1)).toEqual({ unsubscribe: "metrics", device: "d" });
});

it("takes silence as a cut", () => {
  startLive();
  newest().says({ type: "hello" });
  expect(liveState.value).toBe("live");
  vi.advanceTimersByTime(15_000 + 2000);
  expect(Socket.all.length).toBeGreaterThan(1);
  expect(liveState.value).not.toBe("live");
});

it("shows nothing new while it is held still", () => {
  startLive();
  newest().says({ type: "hello" });
  const take = vi.fn();
  const stop = subscribe({ what: "dead_letters", take });
  setPaused(true);
  expect(isPaused.value).toBe(true);
  newest().says({ type: "dead_letters", total: 3, groups: [] });
  expect(take).not.toHaveBeenCalled();
  setPaused(false);
  newest().says({ type: "dead_letters", total: 3, groups: [] });
  expect(take).toHaveBeenCalledWith(3, []);
  stop();
});
