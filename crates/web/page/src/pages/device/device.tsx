// One device: who it is and how it stands, and below that one of its sides.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get } from "../../api/http";
import { subscribe } from "../../api/live";
import { useResource } from "../../api/resource";
import type { DeviceWhole } from "../../api/types";
import { useCurrentInView } from "../../parts/current_in_view";
import { Loaded } from "../../parts/notice";
import { may } from "../../session";
import { Availability } from "./availability";
import { CommandsTab } from "./commands_tab";
import { ConnectivityTab } from "./connectivity_tab";
import { CredentialTab } from "./credential_tab";
import { Facts, HeadBones, Title } from "./head";
import { DeviceLettersTab } from "./letters_tab";
import { LiveTab } from "./live_tab";
import { ReportTab } from "./report_tab";

const READ_EVERY_MS = 15_000;
const TABS = [
  ["live", "Live"],
  ["report", "Report"],
  ["commands", "Commands"],
  ["connectivity", "Connectivity"],
  ["dead-letters", "Dead letters"],
  ["credential", "Credential"],
] as const;

export function DevicePage({ device, tab }: { device: string; tab: string }) {
  const path = `/v1/devices/${device}`;
  const whole = useResource((abort) => get<DeviceWhole>(path, {}, abort), [device], READ_EVERY_MS);
  const pushes = useSignal(0);
  const tabs = useCurrentInView(tab);
  useEffect(() => {
    return subscribe({
      what: "presence",
      take: (changes) => {
        const own = changes.filter((change) => change.device === device).at(-1);
        const known = whole.data.peek();
        if (!own || !known) return;
        whole.data.value = { ...known, online: own.online, last_online_change: own.at };
        pushes.value += 1;
        void whole.refresh();
      },
      refresh: () => void whole.refresh(),
    });
  }, [device, whole, pushes]);

  return (
    <>
      <Loaded from={whole} bones={<HeadBones />}>
        {(row) => (
          <header class="device-head">
            <Title row={row} />
            <Facts row={row} />
          </header>
        )}
      </Loaded>
      <Availability device={device} changed={pushes.value} />
      <div class="device-body">
        <nav class="tabs" aria-label="Sides of the device" ref={tabs}>
          {TABS.map(([name, title]) => (
            <a
              key={name}
              href={name === "live" ? `/devices/${device}` : `/devices/${device}/${name}`}
              aria-current={tab === name ? "page" : undefined}
            >
              {title}
            </a>
          ))}
        </nav>
        <Side device={device} tab={tab} row={whole.data.value} />
      </div>
    </>
  );
}

function Side({ device, tab, row }: { device: string; tab: string; row: DeviceWhole | undefined }) {
  switch (tab) {
    case "report":
      return <ReportTab device={device} />;
    case "commands":
      return <CommandsTab device={device} row={row} mayOrder={may("operator")} />;
    case "connectivity":
      return <ConnectivityTab device={device} />;
    case "dead-letters":
      return <DeviceLettersTab device={device} />;
    case "credential":
      return <CredentialTab device={device} />;
    default:
      return <LiveTab device={device} clockOffsetMs={row?.clock_offset_ms ?? 0} />;
  }
}
