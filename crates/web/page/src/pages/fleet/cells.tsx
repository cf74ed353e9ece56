// The cells of one device.

import type { Device, Pair } from "../../api/types";
import { Sparkline } from "../../charts/sparkline";
import { ClockIcon } from "../../parts/icons";
import { State, type Tone } from "../../parts/state";
import { Ago, Foreign } from "../../parts/text";
import { exact, now, short, span } from "../../text/time";
import { isClockOff, nameOf, stateOf } from "./select";
import { compareVersions, fleet, keyOf } from "./store";

/** A newest point older than this is old, in milliseconds. */
const OLD_AFTER_MS = 90_000;
/** Credentials that end within this are told, in milliseconds. */
const ENDS_SOON_MS = 3 * 86_400_000;
const LABELS_SHOWN = 3;
/** Names for a narrow screen, where the columns have no heads. */
const SHORT: Record<string, string> = {
  cpu_percent: "CPU ",
  memory_percent: "Mem ",
  disk_percent: "Disk ",
};
const TONES: Record<string, Tone> = {
  online: "good",
  offline: "bad",
  unseen: "idle",
  revoked: "warn",
};

export function Cells({ row }: { row: Device }) {
  const state = stateOf(row);
  const labels = Object.entries(row.labels);
  return (
    <>
      <div role="gridcell" class="c-state">
        <State tone={TONES[state] ?? "idle"}>{state}</State>
      </div>
      <div role="gridcell" class="c-name cut">
        <a href={`/devices/${row.device}`} tabIndex={-1} title={row.device}>
          <Foreign>{nameOf(row)}</Foreign>
        </a>
        {row.hostname && row.name && row.hostname !== row.name && (
          <span class="quiet small">
            <Foreign>{row.hostname}</Foreign>
          </span>
        )}
      </div>
      <div role="gridcell" class="c-tenant cut soft">
        <Foreign>{row.tenant_name ?? row.tenant}</Foreign>
      </div>
      <div role="gridcell" class="c-labels cut">
        {labels.slice(0, LABELS_SHOWN).map(([key, value]) => (
          <span key={key} class="tag" title={`${key}=${value}`}>
            <Foreign>{`${key}=${value}`}</Foreign>
          </span>
        ))}
        {labels.length > LABELS_SHOWN && (
          <span class="quiet small">+{labels.length - LABELS_SHOWN}</span>
        )}
      </div>
      <div role="gridcell" class="c-heartbeat number soft">
        <Ago at={row.last_heartbeat} />
      </div>
      <Reading row={row} metric="cpu_percent" />
      <Reading row={row} metric="memory_percent" />
      <Reading row={row} metric="disk_percent" />
      <div role="gridcell" class="c-version cut">
        <Version row={row} />
      </div>
    </>
  );
}

function Reading({ row, metric }: { row: Device; metric: string }) {
  const points: Pair[] | undefined = fleet.points.value.get(keyOf(row))?.[metric];
  const last = points?.at(-1);
  const age = last ? now.value + (row.clock_offset_ms ?? 0) - last[0] : 0;
  const isOld = age > OLD_AFTER_MS;
  return (
    <div
      role="gridcell"
      data-short={SHORT[metric]}
      class={`c-reading ${isOld ? "old" : ""}`}
      title={isOld && last ? `${short(age)} old: ${exact(last[0])}` : undefined}
    >
      {points && last ? (
        <>
          <Sparkline points={points} top={100} />
          <span class="number">{Math.round(last[1])} %</span>
        </>
      ) : (
        <span class="number quiet">
          {points === undefined && fleet.points.value.size === 0 ? "" : "–"}
        </span>
      )}
    </div>
  );
}

function Version({ row }: { row: Device }) {
  const newest = fleet.newestVersion.value;
  const isOlder = row.agent_version && newest && compareVersions(row.agent_version, newest) < 0;
  const ends = row.credential_expires_at;
  const offset = row.clock_offset_ms ?? 0;
  return (
    <>
      {isClockOff(row) && (
        <span
          class="tag warn"
          title={`its clock is ${span(offset)} ${offset > 0 ? "ahead" : "behind"}`}
        >
          <ClockIcon /> {offset > 0 ? "+" : "−"}
          {short(Math.abs(offset))}
        </span>
      )}
      {!row.revoked && ends !== null && ends - now.value < ENDS_SOON_MS && (
        <span class="tag warn" title={`credentials end ${exact(ends)}`}>
          {ends > now.value ? `ends in ${short(ends - now.value)}` : "ended"}
        </span>
      )}
      <span class={isOlder ? "warn" : "quiet"} title={isOlder ? `older than ${newest}` : undefined}>
        {row.agent_version ? <Foreign>{row.agent_version}</Foreign> : "–"}
      </span>
    </>
  );
}
