// Times as people read them: local, short, and with the exact value at hand.

import { signal } from "@preact/signals";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Milliseconds since 1970 by this machine's clock, once a second while somebody looks. */
export const now = signal(Date.now());

/** Starts the clock that `now` shows. */
export function startClock(): void {
  setInterval(() => {
    if (!document.hidden) now.value = Date.now();
  }, SECOND);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) now.value = Date.now();
  });
}

/** A length of time in its two largest units, such as `3 min 4 s`; below a second, `120 ms`. */
export function span(ms: number): string {
  const length = Math.abs(ms);
  if (length < SECOND) return `${Math.round(length)} ms`;
  if (length < 10 * SECOND) return `${(length / SECOND).toFixed(1)} s`;
  if (length < MINUTE) return `${Math.round(length / SECOND)} s`;
  if (length < HOUR - SECOND / 2) return two(length, MINUTE, "min", SECOND, "s");
  if (length < DAY - MINUTE / 2) return two(length, HOUR, "h", MINUTE, "min");
  return two(length, DAY, "d", HOUR, "h");
}

function two(length: number, big: number, bigUnit: string, small: number, smallUnit: string) {
  const rounded = Math.round(length / small) * small;
  const rest = Math.floor((rounded % big) / small);
  const whole = `${Math.floor(rounded / big)} ${bigUnit}`;
  return rest === 0 ? whole : `${whole} ${rest} ${smallUnit}`;
}

/** How long ago, in one unit, such as `4 min`; `in 4 min` for what is to come. */
export function ago(at: number, present: number): string {
  const length = present - at;
  if (length < -5 * SECOND) return `in ${short(-length)}`;
  return length < SECOND ? "now" : `${short(length)} ago`;
}

/** A length of time in one unit. */
export function short(length: number): string {
  if (length < MINUTE) return `${Math.max(1, Math.floor(length / SECOND))} s`;
  if (length < HOUR) return `${Math.floor(length / MINUTE)} min`;
  if (length < 2 * DAY) return `${Math.floor(length / HOUR)} h`;
  return `${Math.floor(length / DAY)} d`;
}

const TIME_OF_DAY = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const DAY_AND_TIME = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});
const EXACT = new Intl.DateTimeFormat("en-GB", {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
  timeZoneName: "short",
});

/** The time of day for today, else day and time. */
export function clock(at: number, present: number = Date.now()): string {
  const isToday = new Date(at).toDateString() === new Date(present).toDateString();
  return (isToday ? TIME_OF_DAY : DAY_AND_TIME).format(at);
}

/** To the millisecond, in local time with its zone, and in UTC. */
export function exact(at: number): string {
  return `${EXACT.format(at)}\n${new Date(at).toISOString()}`;
}
