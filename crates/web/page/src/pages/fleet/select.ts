// Which devices are shown, and in which order: what the address says, applied to the rows.

import type { Device } from "../../api/types";

export const STATES = ["online", "offline", "unseen", "revoked", "clock"] as const;
export type DeviceState = (typeof STATES)[number];
export const SORTS = ["state", "name", "tenant", "last_heartbeat", "agent_version"] as const;

/** A clock that is off by more than this is told, in milliseconds. */
export const CLOCK_OFF_MS = 5_000;

export interface Choice {
  state: string;
  tenant: string;
  text: string;
  labels: string[];
  /** One of SORTS, with `-` in front for descending. */
  sort: string;
}

export function choiceOf(query: URLSearchParams): Choice {
  return {
    state: query.get("state") ?? "",
    tenant: query.get("tenant") ?? "",
    text: query.get("text") ?? "",
    labels: query.getAll("label"),
    sort: query.get("sort") ?? "name",
  };
}

/** The state that a device is shown in. */
export function stateOf(row: Device): "online" | "offline" | "unseen" | "revoked" {
  if (row.revoked) return "revoked";
  if (row.last_heartbeat === null) return "unseen";
  return row.online ? "online" : "offline";
}

export function isClockOff(row: Device): boolean {
  return row.online && Math.abs(row.clock_offset_ms ?? 0) > CLOCK_OFF_MS;
}

export function filtered(rows: readonly Device[], choice: Choice): readonly Device[] {
  const words = choice.text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  const isAll = words.length === 0 && !choice.state && !choice.tenant && choice.labels.length === 0;
  return isAll ? rows : rows.filter((row) => fits(row, choice, words));
}

function fits(row: Device, choice: Choice, words: string[]): boolean {
  if (choice.tenant && row.tenant !== choice.tenant) return false;
  if (choice.state === "clock" && !isClockOff(row)) return false;
  if (choice.state && choice.state !== "clock" && stateOf(row) !== choice.state) return false;
  for (const label of choice.labels) {
    const cut = label.indexOf("=");
    if (row.labels[label.slice(0, cut)] !== label.slice(cut + 1)) return false;
  }
  return words.every((word) => haystack(row).includes(word));
}

const haystacks = new WeakMap<Device, string>();

/** All that is searched of a row, made once. */
function haystack(row: Device): string {
  let text = haystacks.get(row);
  if (text === undefined) {
    const labels = Object.entries(row.labels).map(([key, value]) => `${key}=${value}`);
    const parts = [
      row.name,
      row.hostname,
      row.device,
      row.tenant_name,
      row.agent_version,
      row.platform,
    ];
    text = [...parts, ...labels].filter(Boolean).join("\n").toLowerCase();
    haystacks.set(row, text);
  }
  return text;
}

export function sorted(rows: readonly Device[], sort: string): readonly Device[] {
  const isDown = sort.startsWith("-");
  const by = isDown ? sort.slice(1) : sort;
  const keys = new Map(rows.map((row) => [row, sortKey(row, by)]));
  const sign = isDown ? -1 : 1;
  return [...rows].sort((a, b) => {
    const left = keys.get(a) ?? "";
    const right = keys.get(b) ?? "";
    return left < right ? -sign : left > right ? sign : 0;
  });
}

const nameKeys = new WeakMap<Device, string>();

/** Numbers within a name are compared as numbers: till 9 is before till 10. */
function nameKey(row: Device): string {
  let key = nameKeys.get(row);
  if (key === undefined) {
    key = nameOf(row)
      .toLowerCase()
      .replace(/\d+/g, (digits) => digits.padStart(10, "0"));
    nameKeys.set(row, key);
  }
  return key;
}

function sortKey(row: Device, by: string): string | number {
  const name = nameKey(row);
  switch (by) {
    case "last_heartbeat":
      return row.last_heartbeat ?? 0;
    case "state":
      return `${["offline", "unseen", "revoked", "online"].indexOf(stateOf(row))} ${name}`;
    case "tenant":
      return `${(row.tenant_name ?? row.tenant).toLowerCase()} ${name}`;
    case "agent_version":
      return `${(row.agent_version ?? "").replace(/\d+/g, (digits) => digits.padStart(6, "0"))} ${name}`;
    default:
      return name;
  }
}

/** What people call it: its name, else its host's, else its id. */
export function nameOf(row: Device): string {
  return row.name || row.hostname || row.device;
}
