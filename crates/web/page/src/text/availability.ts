// When a device was online, cut into slots of one length.

import type { Connectivity } from "../api/types";

export interface Away {
  from: number;
  /** When it came back; null: not yet. */
  until: number | null;
}

export interface Slot {
  from: number;
  until: number;
  /** Milliseconds within the slot. */
  online: number;
  offline: number;
  /** Times it was away, cut to the slot. */
  away: Away[];
}

interface Piece {
  from: number;
  until: number;
  online: boolean | null;
}

/** `count` slots from `since` to `until`. Time that nothing is known of counts as neither. */
export function slotsOf(told: Connectivity, count: number): Slot[] {
  const pieces = piecesOf(told);
  const length = (told.until - told.since) / count;
  const slots: Slot[] = [];
  for (let index = 0; index < count; index += 1) {
    const from = told.since + index * length;
    slots.push(slot(pieces, from, from + length));
  }
  return slots;
}

function slot(pieces: Piece[], from: number, until: number): Slot {
  const found: Slot = { from, until, online: 0, offline: 0, away: [] };
  for (const piece of pieces) {
    const start = Math.max(from, piece.from);
    const end = Math.min(until, piece.until);
    if (end <= start || piece.online === null) continue;
    if (piece.online) found.online += end - start;
    else {
      found.offline += end - start;
      found.away.push({ from: start, until: end });
    }
  }
  return found;
}

/** All times it was away, newest first. */
export function awaysOf(told: Connectivity): Away[] {
  const found: Away[] = [];
  for (const piece of piecesOf(told)) {
    if (piece.online !== false) continue;
    found.push({ from: piece.from, until: piece.until < told.until ? piece.until : null });
  }
  return found.reverse();
}

/** Part of the known time that it was online, 0 to 1; undefined: nothing is known. */
export function share(slots: Slot[]): number | undefined {
  let online = 0;
  let known = 0;
  for (const one of slots) {
    online += one.online;
    known += one.online + one.offline;
  }
  return known === 0 ? undefined : online / known;
}

function piecesOf(told: Connectivity): Piece[] {
  const pieces: Piece[] = [];
  let from = told.since;
  let online = told.online_before;
  for (const change of told.changes) {
    const at = Math.min(Math.max(change.at, told.since), told.until);
    if (at > from) pieces.push({ from, until: at, online });
    from = at;
    online = change.online;
  }
  if (told.until > from) pieces.push({ from, until: told.until, online });
  return pieces;
}
