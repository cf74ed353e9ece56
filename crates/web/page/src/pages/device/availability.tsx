// The strip of a device's availability, for a day or a week.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get } from "../../api/http";
import { useResource } from "../../api/resource";
import type { Connectivity } from "../../api/types";
import { Loaded } from "../../parts/notice";
import { Strip } from "../../parts/strip";
import { share, slotsOf } from "../../text/availability";
import { percent } from "../../text/number";
import { clock } from "../../text/time";

const HOUR = 3_600_000;
export const SPANS = { "24 h": 24 * HOUR, "7 d": 7 * 24 * HOUR, "30 d": 30 * 24 * HOUR } as const;
export type SpanName = keyof typeof SPANS;
const READ_EVERY_MS = 60_000;
const CHANGES_MAX = 1000;

/** Changes of a device's connection in the time before now. */
export function readConnectivity(
  device: string,
  span: SpanName,
  abort: AbortSignal,
): Promise<Connectivity> {
  const query = { since: Date.now() - SPANS[span], limit: CHANGES_MAX };
  return get<Connectivity>(`/v1/devices/${device}/connectivity`, query, abort);
}

export function Availability({ device, changed }: { device: string; changed: number }) {
  const span = useSignal<SpanName>("24 h");
  const told = useResource(
    (abort) => readConnectivity(device, span.value, abort),
    [device, span.value],
    READ_EVERY_MS,
  );
  useEffect(() => {
    if (changed > 0) void told.refresh();
  }, [changed, told]);
  return (
    <section class="availability" aria-label="Availability">
      <Loaded from={told} bones={<Frame told={undefined} span={span} />}>
        {(data) => <Frame told={data} span={span} />}
      </Loaded>
    </section>
  );
}

/** Before anything is known it takes the same place. */
function Frame({ told, span }: { told: Connectivity | undefined; span: { value: SpanName } }) {
  const online = told && share(slotsOf(told, 1));
  return (
    <div class="strip-frame" aria-busy={told === undefined}>
      {told ? <Strip told={told} /> : <div class="strip" />}
      <div class="row">
        <span class="share nowrap">{online === undefined ? "–" : percent(online * 100)}</span>
        <select
          aria-label="Time of the strip"
          value={span.value}
          onChange={(event) => {
            span.value = event.currentTarget.value as SpanName;
          }}
        >
          {Object.keys(SPANS).map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </div>
      <div class="strip-scale">
        <span>{told ? clock(told.since, told.until) : "\u00a0"}</span>
        <span>now</span>
      </div>
    </div>
  );
}
