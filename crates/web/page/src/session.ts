// Who is signed in.

import { computed, signal } from "@preact/signals";
import { ask, forgetAnswers, get, isSignedOut, Problem } from "./api/http";
import { startLive, stopLive } from "./api/live";
import type { Role, Session } from "./api/types";

/** undefined: not known yet; null: nobody. */
export const session = signal<Session | null | undefined>(undefined);
/** Why it is not known, where the service cannot say. */
export const sessionProblem = signal<Problem | undefined>(undefined);

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

/** Whether the signed-in one may do what asks for `role`. */
export function may(role: Role): boolean {
  const own = session.value?.role;
  return own !== undefined && RANK[own] >= RANK[role];
}

/** Whether every tenant is shown. */
export const seesAll = computed(() => session.value?.tenant === null);

export type SignIn = { token: string } | { name: string; password: string } | { link: string };

/** Asks who we are; a one-time link in the address signs in, and leaves the address at once. */
export async function startSession(): Promise<void> {
  const link = new URLSearchParams(location.hash.slice(1)).get("link");
  if (link !== null) history.replaceState(null, "", location.pathname + location.search);
  isSignedOut.subscribe((out) => {
    if (out && session.peek()) leave();
  });
  try {
    if (link !== null) await signIn({ link });
    else begin(await get<Session>("/v1/session"));
  } catch (error) {
    settle(error);
  }
}

function settle(error: unknown): void {
  const isRefusal = error instanceof Problem && !error.isPassing;
  sessionProblem.value = error instanceof Problem && error.status !== 401 ? error : undefined;
  // Where nobody can say who we are, nobody has said that we are not signed in.
  session.value = isRefusal ? null : undefined;
}

export async function signIn(how: SignIn): Promise<void> {
  begin(await ask<Session>("POST", "/v1/session", { body: how }));
}

function begin(found: Session): void {
  forgetAnswers();
  isSignedOut.value = false;
  sessionProblem.value = undefined;
  session.value = found;
  startLive();
}

export async function signOut(): Promise<void> {
  try {
    await ask("DELETE", "/v1/session");
  } finally {
    leave();
  }
}

function leave(): void {
  stopLive();
  forgetAnswers();
  session.value = null;
}

export async function setPassword(password: string, current?: string): Promise<void> {
  await ask("PUT", "/v1/session/password", { body: { password, current: current || undefined } });
  const known = session.peek();
  if (known) session.value = { ...known, needs_password: false };
}
