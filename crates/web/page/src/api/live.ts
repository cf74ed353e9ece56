// What the service pushes: one WebSocket for the whole page.
//
// Promises: after a cut every subscription is made again by itself, and one of metrics asks for what
// came since its newest point; silence is noticed; a pause stops what is shown, not what is kept by
// the service, and going on asks for what was missed. Reconnections are spread.

import { computed, signal } from "@preact/signals";
import { isSignedOut } from "./http";
import type { BehindMs, LetterGroup, Pair } from "./types";

export type LiveState = "connecting" | "live" | "paused" | "offline";

export interface PresenceChange {
  tenant: string;
  device: string;
  online: boolean;
  at: number;
}

export interface CommandEvent {
  event: "started" | "output" | "finished";
  number: number;
  timestamp_ms: number;
  status?: string;
  outcome?: string;
  reason?: { code: string; text: string };
  result?: unknown;
  stream?: "stdout" | "stderr";
  chunk?: string;
  offset?: number;
  cut?: boolean;
}

/** What can be subscribed to, and what is done with what comes. */
export type Wish =
  | {
      what: "metrics";
      device: string;
      since: () => number | undefined;
      take: (points: Record<string, Pair[]>) => void;
    }
  | {
      what: "presence";
      tenant?: string;
      take: (changes: PresenceChange[]) => void;
      refresh: () => void;
    }
  | { what: "command"; device: string; command: string; take: (event: CommandEvent) => void }
  | { what: "dead_letters"; take: (total: number, groups: LetterGroup[]) => void };

/** No frame for so long: the connection is cut, whatever TCP believes. */
const SILENCE_MS = 15_000;
const RETRY_FIRST_MS = 500;
const RETRY_LONGEST_MS = 20_000;
const TOO_SLOW = 4008;
const SIGNED_OUT = 4001;
const TOO_MANY = 4029;

const link = signal<"connecting" | "live" | "offline">("connecting");
export const isPaused = signal(false);
/** How the page is fed right now. */
export const liveState = computed<LiveState>(() => (isPaused.value ? "paused" : link.value));
/** By stream: how long its oldest message waits that is not stored; null: unknown. */
export const behindMs = signal<BehindMs>(null);
/** When something last came, by this machine's clock. */
export const lastFrameAt = signal(0);

const wishes = new Set<Wish>();
let socket: WebSocket | undefined;
let retries = 0;
let retryTimer: ReturnType<typeof setTimeout> | undefined;
let silenceTimer: ReturnType<typeof setTimeout> | undefined;
let isWanted = false;

/** Connects, and stays so until `stopLive`. */
export function startLive(): void {
  if (isWanted) return;
  isWanted = true;
  connect();
}

export function stopLive(): void {
  isWanted = false;
  clearTimeout(retryTimer);
  clearTimeout(silenceTimer);
  socket?.close(1000);
  socket = undefined;
  link.value = "connecting";
}

/** Subscribes until the returned function is called. */
export function subscribe(wish: Wish): () => void {
  wishes.add(wish);
  if (!isPaused.value) tell("subscribe", wish);
  return () => {
    wishes.delete(wish);
    const isShared = [...wishes].some((other) => keyOf(other) === keyOf(wish));
    if (!isShared && !isPaused.value) tell("unsubscribe", wish);
  };
}

/** Stops or goes on with what is shown. */
export function setPaused(paused: boolean): void {
  if (paused === isPaused.value) return;
  isPaused.value = paused;
  for (const wish of wishes) tell(paused ? "unsubscribe" : "subscribe", wish);
  if (!paused) refreshAll();
}

/** Tries at once instead of waiting for the next turn. */
export function retryNow(): void {
  if (!isWanted || link.value === "live") return;
  clearTimeout(retryTimer);
  socket?.close();
  connect();
}

function connect(): void {
  if (!isWanted) return;
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const opened = new WebSocket(`${scheme}//${location.host}/v1/live`);
  socket = opened;
  watchSilence();
  opened.onmessage = (frame) => {
    if (opened === socket) take(String(frame.data));
  };
  opened.onclose = (closed) => {
    if (opened === socket) lost(closed.code);
  };
}

function lost(code: number): void {
  clearTimeout(silenceTimer);
  socket = undefined;
  if (code === SIGNED_OUT) isSignedOut.value = true;
  if (!isWanted || isSignedOut.value) return;
  link.value = retries === 0 ? "connecting" : "offline";
  const longest = Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** retries);
  const wait = code === TOO_MANY ? RETRY_LONGEST_MS : code === TOO_SLOW ? RETRY_FIRST_MS : longest;
  retries = Math.min(retries + 1, 10);
  retryTimer = setTimeout(connect, wait * (0.5 + Math.random() / 2));
}

function watchSilence(): void {
  clearTimeout(silenceTimer);
  silenceTimer = setTimeout(() => {
    const silent = socket;
    socket = undefined;
    silent?.close();
    lost(1006);
  }, SILENCE_MS);
}

function take(text: string): void {
  watchSilence();
  lastFrameAt.value = Date.now();
  const frame = JSON.parse(text);
  switch (frame.type) {
    case "hello":
      greeted();
      return;
    case "behind":
      behindMs.value = frame.behind_ms;
      return;
    default:
      if (!isPaused.value) deliver(frame);
  }
}

function greeted(): void {
  const isBack = retries > 0;
  link.value = "live";
  retries = 0;
  if (isPaused.value) return;
  for (const wish of wishes) tell("subscribe", wish);
  if (isBack) refreshAll();
}

/** What cannot be asked for "since" is read anew. */
function refreshAll(): void {
  for (const wish of wishes) if (wish.what === "presence") wish.refresh();
}

// biome-ignore lint/suspicious/noExplicitAny: frames are told apart by `type` right here.
function deliver(frame: any): void {
  for (const wish of wishes) {
    if (frame.type === "points" && wish.what === "metrics") {
      if (frame.device === wish.device) wish.take(frame.points);
    } else if (frame.type === "presence" && wish.what === "presence") {
      wish.take(frame.changes);
    } else if (frame.type === "command" && wish.what === "command") {
      if (frame.command === wish.command) wish.take(frame.event);
    } else if (frame.type === "dead_letters" && wish.what === "dead_letters") {
      wish.take(frame.total, frame.groups);
    }
  }
}

function tell(verb: "subscribe" | "unsubscribe", wish: Wish): void {
  if (socket?.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify({ [verb]: wish.what, ...details(wish, verb === "subscribe") }));
}

function details(wish: Wish, withSince: boolean): Record<string, unknown> {
  switch (wish.what) {
    case "metrics":
      return { device: wish.device, since: withSince ? wish.since() : undefined };
    case "presence":
      return { tenant: wish.tenant };
    case "command":
      return { device: wish.device, command: wish.command };
    default:
      return {};
  }
}

function keyOf(wish: Wish): string {
  return JSON.stringify({ what: wish.what, ...details(wish, false) });
}
