// Commands to devices: what was ordered, and what became of it.

import { ask, get } from "./http";

export type CommandState =
  | "queued"
  | "delivered"
  | "running"
  | "succeeded"
  | "failed"
  | "timed_out"
  | "cancelled"
  | "rejected"
  | "expired";

export interface Order {
  command: string;
  device: string;
  tenant: string;
  kind: string;
  arguments: Record<string, unknown>;
  state: CommandState;
  requester: string;
  created_at: number;
  /** When its stream confirmed it; null: it waits to be sent. */
  published_at: number | null;
  expires_at: number;
  timeout_ms: number;
  /** Whether it ended by the service's clock, not by the device's word. */
  assumed: boolean;
  reason_code: string | null;
  reason_text: string | null;
  /** Whether its device answered more than is kept. */
  answers_cut: boolean;
}

export interface Transition {
  state: CommandState;
  at: number;
  device_at: number | null;
  by: string;
}

export interface OrderWhole extends Order {
  transitions: Transition[];
  result: unknown;
}

export interface OrderPage {
  commands: Order[];
  next: number | null;
}

/** States that nothing follows. */
const FINAL: readonly CommandState[] = [
  "succeeded",
  "failed",
  "timed_out",
  "cancelled",
  "rejected",
  "expired",
];
const LISTED = 50;

export const ORDERS_PATH = "/v1/commands";

export function isFinal(state: CommandState): boolean {
  return FINAL.includes(state);
}

export function listOrders(device: string, abort: AbortSignal): Promise<OrderPage> {
  return get<OrderPage>(ORDERS_PATH, { device, limit: LISTED }, abort);
}

export function showOrder(command: string, abort: AbortSignal): Promise<OrderWhole> {
  return get<OrderWhole>(`${ORDERS_PATH}/${command}`, {}, abort);
}

export interface NewOrder {
  devices: string[];
  kind: string;
  arguments: Record<string, unknown>;
}

/** Orders it, and returns the id of the command to the one device. */
export async function sendOrder(order: NewOrder): Promise<string> {
  const sent = await ask<{ commands: { command: string }[] }>("POST", ORDERS_PATH, { body: order });
  const first = sent.commands[0];
  if (!first) throw new Error("the service named no command");
  return first.command;
}

export interface Taken {
  outcome: "cancelled" | "asked" | "ended_before" | "cannot_be_reached";
}

export function cancelOrder(command: string): Promise<Taken> {
  return ask<Taken>("POST", `${ORDERS_PATH}/${command}/cancel`);
}
