// Availability as a row of bars, one a slot of time, each saying why it looks as it does.

import type { Connectivity } from "../api/types";
import { awaysOf, type Slot, share, slotsOf } from "../text/availability";
import { percent } from "../text/number";
import { clock, span } from "../text/time";

const SLOTS = 96;
/** Bars of one pixel tell nothing. */
const NARROW_SLOTS = 48;
const NARROW = matchMedia("(max-width: 44rem)");

export function Strip({ told }: { told: Connectivity }) {
  const slots = slotsOf(told, NARROW.matches ? NARROW_SLOTS : SLOTS);
  const online = share(slots);
  const aways = awaysOf(told);
  const words =
    online === undefined
      ? "nothing is known of this time"
      : `online ${percent(online * 100)} of the time, ${aways.length} times away`;
  return (
    <div class="strip" role="img" aria-label={`Availability: ${words}`}>
      {slots.map((slot) => (
        <span key={slot.from} title={reason(slot)}>
          <i class={look(slot)} style={{ height: `${height(slot)}%` }} />
        </span>
      ))}
    </div>
  );
}

function look(slot: Slot): string {
  if (slot.online + slot.offline === 0) return "unknown";
  if (slot.offline === 0) return "up";
  return slot.online === 0 ? "down" : "part";
}

/** Down is short as well as red, so that colour is not all that tells. */
function height(slot: Slot): number {
  const known = slot.online + slot.offline;
  return known === 0 ? 18 : 40 + 60 * (slot.online / known);
}

function reason(slot: Slot): string {
  const when = `${clock(slot.from)} to ${clock(slot.until)}`;
  if (slot.online + slot.offline === 0) return `${when}\nnothing is known of this time`;
  if (slot.offline === 0) return `${when}\nonline`;
  const aways = slot.away.map((away) => {
    const length = (away.until ?? slot.until) - away.from;
    return `no heartbeat for ${span(length)} from ${clock(away.from)}`;
  });
  return [when, ...aways.slice(0, 6)].join("\n");
}
