// Who a device is and how it stands.

import type { DeviceWhole } from "../../api/types";
import { Copyable } from "../../parts/copy";
import { State, type Tone } from "../../parts/state";
import { Ago, Foreign } from "../../parts/text";
import { now, short, span } from "../../text/time";
import { isClockOff, nameOf, stateOf } from "../fleet/select";

const TONES: Record<string, Tone> = {
  online: "good",
  offline: "bad",
  unseen: "idle",
  revoked: "warn",
};

export function Title({ row }: { row: DeviceWhole }) {
  const state = stateOf(row);
  const since = row.last_online_change;
  return (
    <div class="name">
      <h1>
        <Foreign>{nameOf(row)}</Foreign>
      </h1>
      <State tone={TONES[state] ?? "idle"}>
        {since === null || state === "revoked"
          ? state
          : `${state} for ${short(Math.max(1000, now.value - since))}`}
      </State>
      <a class="soft" href={`/?tenant=${row.tenant}`} title="all devices of this tenant">
        <Foreign>{row.tenant_name ?? row.tenant}</Foreign>
      </a>
      <span class="row">
        {Object.entries(row.labels).map(([key, value]) => (
          <a
            key={key}
            class="tag"
            href={`/?label=${encodeURIComponent(`${key}=${value}`)}`}
            title="all devices with this label"
          >
            <Foreign>{`${key}=${value}`}</Foreign>
          </a>
        ))}
      </span>
    </div>
  );
}

const FACTS = ["Last heartbeat", "Host", "System", "Agent", "Running for", "Clock", "Device"];

/** The place that they will take. */
export function HeadBones() {
  return (
    <header class="device-head" aria-busy="true">
      <div class="name">
        <h1>
          <i class="bone" style={{ width: "8rem" }} />
        </h1>
      </div>
      <dl class="facts">
        {FACTS.map((name) => (
          <Fact key={name} name={name}>
            <i class="bone" style={{ width: "60%" }} />
          </Fact>
        ))}
      </dl>
    </header>
  );
}

export function Facts({ row }: { row: DeviceWhole }) {
  const system = (row.info?.system_info ?? {}) as Record<string, unknown>;
  const text = (name: string) =>
    typeof system[name] === "string" ? (system[name] as string) : undefined;
  const offset = row.clock_offset_ms;
  const uptime = system.uptime;
  return (
    <dl class="facts">
      <Fact name="Last heartbeat">
        <Ago at={row.last_heartbeat} />
      </Fact>
      <Fact name="Host">{row.hostname ? <Foreign>{row.hostname}</Foreign> : "–"}</Fact>
      <Fact name="System">
        <Foreign>{text("os_version") ?? text("os") ?? row.platform ?? "–"}</Foreign>
      </Fact>
      <Fact name="Agent">{row.agent_version ? <Foreign>{row.agent_version}</Foreign> : "–"}</Fact>
      <Fact name="Running for">{typeof uptime === "number" ? span(uptime * 1000) : "–"}</Fact>
      <Fact name="Clock">
        {offset === null ? (
          "–"
        ) : (
          <span class={isClockOff(row) ? "warn" : ""}>
            {Math.abs(offset) < 1000
              ? "right"
              : `${span(offset)} ${offset > 0 ? "ahead" : "behind"}`}
          </span>
        )}
      </Fact>
      <Fact name="Device">
        <Copyable
          text={row.device}
          label="device id"
          short={`${row.device.slice(0, 8)}…${row.device.slice(-4)}`}
        />
      </Fact>
    </dl>
  );
}

// biome-ignore lint/suspicious/noExplicitAny: whatever Preact can show.
function Fact({ name, children }: { name: string; children: any }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="cut">{children}</dd>
    </div>
  );
}
