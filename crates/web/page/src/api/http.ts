// Requests to our own service.
//
// Promises: an answer that is no success is a `Problem` with the service's own words; a service that
// cannot be reached is a `Problem` of status 0; a read that has not changed is not sent again.

import { signal } from "@preact/signals";

/** What the service says when it refuses, or what kept us from it (status 0). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly field?: string,
    readonly remedy?: string,
    readonly request?: string,
    readonly retryAfterSeconds?: number,
  ) {
    super(`${title}: ${detail}`);
  }

  /** Whether asking again later may help without anybody's doing. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Whether the last request reached the service. */
export const isReachable = signal(true);
/** Set when the service no longer knows us. */
export const isSignedOut = signal(false);

export type Parameters = Record<string, string | number | readonly (string | number)[] | undefined>;

export interface Ask {
  query?: Parameters;
  body?: unknown;
  abort?: AbortSignal;
}

/** Longest that an answer may take; the service itself gives up after 10 s. */
const ANSWER_WITHIN_MS = 20_000;
/** Bodies kept beside their ETag, so that an unchanged one need not be sent again. */
const KEPT_ANSWERS = 64;

const kept = new Map<string, { etag: string; body: unknown }>();

/** Forgets every kept answer: somebody else may sign in. */
export function forgetAnswers(): void {
  kept.clear();
}

/** Path and query of a request. Also what "copy as curl" shows. */
export function address(path: string, query: Parameters = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === "") continue;
    for (const one of Array.isArray(value) ? value : [value]) parameters.append(name, String(one));
  }
  const text = parameters.toString();
  return text === "" ? path : `${path}?${text}`;
}

export function get<T>(path: string, query?: Parameters, abort?: AbortSignal): Promise<T> {
  return ask<T>("GET", path, { query, abort });
}

/** Sends a request and reads its answer. */
export async function ask<T>(method: string, path: string, { query, body, abort }: Ask = {}) {
  const url = address(path, query);
  const before = method === "GET" ? kept.get(url) : undefined;
  const headers: Record<string, string> = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (before) headers["If-None-Match"] = before.etag;
  const limit = AbortSignal.timeout(ANSWER_WITHIN_MS);
  let answer: Response;
  try {
    answer = await fetch(url, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: abort ? AbortSignal.any([abort, limit]) : limit,
    });
  } catch (error) {
    if (abort?.aborted) throw error;
    isReachable.value = false;
    throw new Problem(0, "no connection", "The service cannot be reached from here.");
  }
  isReachable.value = true;
  if (answer.status === 304 && before) return before.body as T;
  if (!answer.ok) throw await problemOf(answer, path);
  const read: unknown = answer.status === 204 ? undefined : await answer.json();
  const etag = answer.headers.get("ETag");
  if (method === "GET" && etag) keep(url, etag, read);
  return read as T;
}

function keep(url: string, etag: string, body: unknown): void {
  kept.delete(url);
  kept.set(url, { etag, body });
  const oldest = kept.keys().next().value;
  if (kept.size > KEPT_ANSWERS && oldest !== undefined) kept.delete(oldest);
}

async function problemOf(answer: Response, path: string): Promise<Problem> {
  const request = answer.headers.get("X-Request-Id") ?? undefined;
  const retryAfter = Number(answer.headers.get("Retry-After")) || undefined;
  let told: Record<string, unknown> = {};
  try {
    told = await answer.json();
  } catch {
    // Not the service's own words, such as a proxy's page.
  }
  const text = (name: string) =>
    typeof told[name] === "string" ? (told[name] as string) : undefined;
  if (answer.status === 401 && path !== "/v1/session" && text("field") === undefined) {
    isSignedOut.value = true;
  }
  return new Problem(
    answer.status,
    text("title") ?? `HTTP ${answer.status}`,
    text("detail") ?? "The service gave no reason.",
    text("field"),
    text("remedy"),
    request,
    retryAfter,
  );
}
