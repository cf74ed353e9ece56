// Commands to devices: what can be ordered, and what became of it.

import { ask, get } from "./http";
import type { CommandEvent } from "./live";

export type CommandState =
  | "created"
  | "sent"
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
  requester: string | null;
  created_at: number;
  sent_at: number | null;
  delivered_at: number | null;
  started_at: number | null;
  finished_at: number | null;
  expires_at: number;
  timeout_ms: number | null;
  reason: { code: string; text: string } | null;
  result: unknown;
}

export interface OrderPage {
  commands: Order[];
  next: string | null;
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

export function isFinal(state: CommandState): boolean {
  return FINAL.includes(state);
}

export const ordersPath = (device: string) => `/v1/devices/${device}/commands`;

export function listOrders(device: string, abort: AbortSignal): Promise<OrderPage> {
  return get<OrderPage>(ordersPath(device), { limit: 50 }, abort);
}

export function showOrder(
  command: string,
  abort: AbortSignal,
): Promise<Order & { events?: CommandEvent[] }> {
  return get(`/v1/commands/${command}`, {}, abort);
}

export interface NewOrder {
  kind: string;
  arguments: Record<string, unknown>;
}

export function sendOrder(device: string, order: NewOrder): Promise<Order> {
  return ask<Order>("POST", ordersPath(device), { body: order });
}

export function cancelOrder(command: string): Promise<unknown> {
  return ask("POST", `/v1/commands/${command}/cancel`);
}
