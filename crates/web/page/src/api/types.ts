// The shapes of the HTTP API (docs/api.md). Times are milliseconds since 1970, ids are UUIDs.

export type Role = "viewer" | "operator" | "admin";
export type BehindMs = Record<string, number> | null;
export type Pair = [at: number, value: number];

export interface Session {
  name: string;
  tenant: string | null;
  role: Role;
  expires_at: number;
  by: "token" | "password" | "link";
  needs_password: boolean;
}

export interface FleetCounts {
  devices: number;
  online: number;
  offline: number;
  unseen: number;
  revoked: number;
  clock_off: number;
  behind_ms: BehindMs;
}

export interface Device {
  tenant: string;
  tenant_name: string | null;
  device: string;
  name: string;
  hostname: string | null;
  platform: string | null;
  online: boolean;
  last_online_change: number | null;
  last_heartbeat: number | null;
  clock_offset_ms: number | null;
  agent_version: string | null;
  session: string | null;
  labels: Record<string, string>;
  registered: boolean;
  revoked: boolean;
  credential_expires_at: number | null;
  metrics?: Record<string, Pair[]>;
}

export interface DeviceWhole extends Device {
  info: Record<string, unknown> | null;
}

export interface DevicePage {
  devices: Device[];
  more: boolean;
  next: string | null;
  behind_ms: BehindMs;
}

export interface Connectivity {
  device: string;
  since: number;
  until: number;
  online_before: boolean | null;
  changes: { at: number; online: boolean }[];
  more: boolean;
}

export interface Report {
  id: number;
  type: string;
  sent_at: number;
  received_at: number;
  payload: Record<string, unknown>;
}

export interface Credential {
  public_key: string;
  issued_at: number;
  expires_at: number | null;
  revoked_at: number | null;
}

export interface Credentials {
  device: string;
  state: "active" | "revoked";
  role: string;
  tenant_state: "active" | "suspended";
  credentials: Credential[];
}

export interface Tenant {
  tenant: string;
  name: string;
  state: "active" | "suspended";
  devices: number;
  online: number;
  /** null: nobody told the registry; a negative number is no limit. */
  limits: { conn: number; payload: number; subs: number } | null;
  created_at: number;
  changed_at: number;
}

export interface EnrolToken {
  id: string;
  tenant: string;
  uses: number;
  uses_left: number;
  created_by: string;
  created_at: number;
  expires_at: number;
  revoked_at: number | null;
}

export interface NewEnrolToken {
  id: string;
  token: string;
  tenant: string;
  uses: number;
  expires_at: number;
}

export interface AuditEntry {
  id: number;
  at: number;
  who: string;
  action: string;
  object: string;
  detail: Record<string, unknown>;
}

export interface Consumer {
  name: string;
  pending: number;
  ack_pending: number;
  redelivered: number;
  waiting_pulls: number;
  delivered_sequence: number;
  ack_floor_sequence: number;
  paused: boolean;
}

export interface Stream {
  name: string;
  messages: number;
  bytes: number;
  max_bytes: number | null;
  oldest: number | null;
  newest: number | null;
  last_sequence: number;
  behind_ms: number | null;
  consumers: Consumer[];
  device_consumers: number;
}

export interface DriftChange {
  object: string;
  field: string;
  before: unknown;
  after: unknown;
  summary: string;
  effect: "create" | "update" | "remove" | "destructive" | "immutable";
  caution: string | null;
}

export interface Drift {
  in_sync: boolean;
  changes: DriftChange[];
  notes: string[];
}

export interface Letter {
  sequence: number;
  parked_ms: number;
  stream: string;
  reason: string;
  tenant: string;
  device: string;
  attempts: number | null;
  detail: string;
  origin_sequence: number | null;
  origin_subject: string;
  message_id: string | null;
  tombstone: boolean;
  payload_bytes: number;
}

export interface LetterWhole extends Letter {
  headers: [string, string][];
  payload: string;
}

export interface LetterPage {
  letters: Letter[];
  next: number | null;
}

export interface LetterGroup {
  stream: string;
  reason: string;
  letters: number;
}

export interface LetterCounts {
  total: number;
  groups: LetterGroup[];
}

export interface LetterOutcome {
  sequence: number;
  outcome: string;
}
