// What a device measures right now: a chart a metric, all over the same time.

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { Problem } from "../../api/http";
import { asProblem } from "../../api/resource";
import { Chart, type Line } from "../../charts/chart";
import { type ChartGroup, chartGroup } from "../../charts/group";
import { MetricsOfDevice } from "../../charts/metrics_of_device";
import { Empty, Failed } from "../../parts/notice";
import { SameAs } from "../../parts/same_as";
import { MAIN_METRICS, shownAs } from "../../text/metric";
import { counted } from "../../text/number";
import { clock, now, short } from "../../text/time";

const LENGTHS: [string, number][] = [
  ["2 min", 120],
  ["10 min", 600],
  ["30 min", 1800],
];
/** The newest point is this old, in milliseconds: the charts say so. */
const OLD_AFTER_MS = 30_000;

export function LiveTab({ device, clockOffsetMs }: { device: string; clockOffsetMs: number }) {
  const metrics = useMemo(() => new MetricsOfDevice(device), [device]);
  const problem = useSignal<Problem | undefined>(undefined);
  const tries = useSignal(0);
  const offset = useSignal(clockOffsetMs);
  offset.value = clockOffsetMs;
  const group = useMemo(() => chartGroup(600, offset), [device, offset]);
  useEffect(() => {
    const abort = new AbortController();
    metrics.start(abort.signal).then(
      () => {
        problem.value = undefined;
      },
      (error) => {
        if (!abort.signal.aborted) problem.value = asProblem(error);
      },
    );
    return () => abort.abort();
  }, [metrics, tries.value]);

  if (problem.value) return <Failed problem={problem.value} retry={() => (tries.value += 1)} />;
  if (!metrics.isSeeded.value) return <Waiting />;
  if (metrics.names.value.length === 0) {
    return (
      <Empty title="No points">
        Nothing was measured in the last minutes. Rings are kept for 15 minutes after the last
        point.
      </Empty>
    );
  }
  return (
    <>
      <Tools device={device} group={group} metrics={metrics} />
      <Charts metrics={metrics} group={group} />
    </>
  );
}

/** Charts of the usual metrics without lines, so that nothing jumps. */
function Waiting() {
  return (
    <>
      <div class="chart-tools" />
      <div class="charts" aria-busy="true">
        {["Processor", "Memory", "Disk", "Network"].map((title) => (
          <figure class="chart" key={title}>
            <figcaption>
              <h3>{title}</h3>
            </figcaption>
            <span class="bone-plot" />
          </figure>
        ))}
      </div>
    </>
  );
}

function Tools({
  device,
  group,
  metrics,
}: {
  device: string;
  group: ChartGroup;
  metrics: MetricsOfDevice;
}) {
  const zoom = group.zoom.value;
  return (
    <div class="chart-tools">
      <div class="chips" role="group" aria-label="Time shown">
        {LENGTHS.map(([name, seconds]) => (
          <button
            key={name}
            type="button"
            class="chip"
            aria-pressed={zoom === null && group.lengthS.value === seconds}
            onClick={() => {
              group.zoom.value = null;
              group.lengthS.value = seconds;
            }}
          >
            {name}
          </button>
        ))}
        {zoom && (
          <button
            type="button"
            class="chip"
            aria-pressed="true"
            onClick={() => {
              group.zoom.value = null;
            }}
          >
            {clock(zoom[0] * 1000)} to {clock(zoom[1] * 1000)} ×
          </button>
        )}
      </div>
      <Freshness metrics={metrics} group={group} />
      <SameAs
        command={`wegweiser metrics get ${device} cpu_percent --last 300`}
        request={{ method: "GET", path: `/v1/devices/${device}/metrics`, query: { last: 300 } }}
      />
    </div>
  );
}

/** Says how old the newest point is once that is worth saying, and what the mouse does. */
function Freshness({ metrics, group }: { metrics: MetricsOfDevice; group: ChartGroup }) {
  const edge = group.range.value[1] * 1000;
  const newest = useComputed(() => {
    let last = 0;
    for (const name of metrics.names.value) {
      last = Math.max(last, metrics.ring(name)?.points.value.at(-1)?.timestamp ?? 0);
    }
    return last;
  });
  const age = (group.zoom.value ? now.value : edge) - newest.value;
  if (newest.value > 0 && age > OLD_AFTER_MS) {
    return (
      <p class="small warn" role="status">
        The newest point is {short(age)} old.
      </p>
    );
  }
  return <p class="small quiet wide">Drag to zoom, double-click to go back.</p>;
}

function Charts({ metrics, group }: { metrics: MetricsOfDevice; group: ChartGroup }) {
  const isOpen = useSignal(false);
  const names = metrics.names.value;
  const others = names.filter((name) => !MAIN_METRICS.includes(name) && name !== "uptime");
  const one = (name: string) => <One key={name} name={name} metrics={metrics} group={group} />;
  return (
    <>
      <div class="charts">
        {["cpu_percent", "memory_percent", "disk_percent"]
          .filter((name) => names.includes(name))
          .map(one)}
        <Network metrics={metrics} group={group} />
        {others.length <= 6 && others.map(one)}
      </div>
      {others.length > 6 && (
        <>
          <p class="chart-more">
            <button
              type="button"
              aria-expanded={isOpen.value}
              onClick={() => {
                isOpen.value = !isOpen.value;
              }}
            >
              {isOpen.value ? "Fewer" : counted(others.length, "further metric")}
            </button>
          </p>
          {isOpen.value && <div class="charts">{others.map(one)}</div>}
        </>
      )}
    </>
  );
}

function One({
  name,
  metrics,
  group,
}: {
  name: string;
  metrics: MetricsOfDevice;
  group: ChartGroup;
}) {
  const ring = metrics.ring(name);
  if (!ring) return null;
  const { title, kind } = shownAs(name);
  return <Chart title={title} kind={kind} lines={[{ label: title, ring }]} group={group} />;
}

/** In and out are read side by side. */
function Network({ metrics, group }: { metrics: MetricsOfDevice; group: ChartGroup }) {
  const lines: Line[] = [];
  for (const [name, label] of [
    ["network_bytes_in", "in"],
    ["network_bytes_out", "out"],
  ] as const) {
    const ring = metrics.ring(name);
    if (ring) lines.push({ label, ring });
  }
  if (lines.length === 0) return null;
  return <Chart title="Network" kind="bytes_per_s" lines={lines} group={group} />;
}
