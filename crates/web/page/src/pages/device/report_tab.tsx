// The newest monitoring report: disks, networks, processes, and whatever else is in it.

import { useSignal } from "@preact/signals";
import { get } from "../../api/http";
import { useResource } from "../../api/resource";
import type { Report } from "../../api/types";
import { Empty, Loaded } from "../../parts/notice";
import { SameAs } from "../../parts/same_as";
import { Ago, Foreign } from "../../parts/text";
import { inertLines } from "../../text/inert";
import { bytes, count, percent } from "../../text/number";
import { clock, span } from "../../text/time";

type Row = Record<string, unknown>;

const READ_EVERY_MS = 30_000;
/** Fields that stand in a table of their own, or above. */
const TOLD_ELSEWHERE = new Set([
  "disks",
  "network_interfaces",
  "top_processes_by_cpu",
  "top_processes_by_memory",
  "monitoring_type",
  "errors",
]);

export function ReportTab({ device }: { device: string }) {
  const path = `/v1/devices/${device}/reports`;
  const read = useResource(
    (abort) => get<{ reports: Report[] }>(path, { limit: 1 }, abort),
    [device],
    READ_EVERY_MS,
  );
  const isRaw = useSignal(false);
  return (
    <Loaded from={read}>
      {({ reports }) => {
        const report = reports[0];
        if (!report)
          return (
            <Empty title="No report yet">
              An agent sends one at its start and every five minutes.
            </Empty>
          );
        return (
          <>
            <div class="chart-tools">
              <span class="soft">
                Measured <Ago at={report.sent_at} />
              </span>
              <button
                type="button"
                class="chip"
                aria-pressed={isRaw.value}
                onClick={() => {
                  isRaw.value = !isRaw.value;
                }}
              >
                as sent
              </button>
              <SameAs request={{ method: "GET", path, query: { limit: 1 } }} />
            </div>
            {isRaw.value ? (
              <pre class="payload">{inertLines(JSON.stringify(report.payload, null, 2))}</pre>
            ) : (
              <Told payload={report.payload} />
            )}
          </>
        );
      }}
    </Loaded>
  );
}

function Told({ payload }: { payload: Row }) {
  const errors = payload.errors;
  const simple = Object.entries(payload).filter(([name]) => !TOLD_ELSEWHERE.has(name));
  return (
    <div class="report">
      {errors !== undefined && (
        <div class="failed full">
          <b>Something is missing in this report.</b> <Foreign>{JSON.stringify(errors)}</Foreign>
        </div>
      )}
      <section class="panel">
        <header>
          <h2>Machine</h2>
        </header>
        <dl class="pairs body">
          {simple.map(([name, value]) => (
            <Pair key={name} name={name} value={value} />
          ))}
        </dl>
      </section>
      <div class="stack">
        <Disks rows={list(payload.disks)} />
        <Networks rows={list(payload.network_interfaces)} />
      </div>
      <Processes title="Processes by processor use" rows={list(payload.top_processes_by_cpu)} />
      <Processes title="Processes by memory" rows={list(payload.top_processes_by_memory)} />
    </div>
  );
}

function Pair({ name, value }: { name: string; value: unknown }) {
  return (
    <>
      <dt>
        <Foreign>{name.replaceAll("_", " ").replace(/ (bytes|percent)$/, "")}</Foreign>
      </dt>
      <dd>
        <Foreign>{readable(name, value)}</Foreign>
      </dd>
    </>
  );
}

/** A field by what its name says of its unit. */
function readable(name: string, value: unknown): string {
  if (typeof value === "number") {
    if (name.endsWith("_bytes")) return bytes(value);
    if (name.endsWith("percent")) return percent(value);
    if (name === "uptime") return span(value * 1000);
    if (name === "boot_time") return clock(value * 1000);
    return Number.isInteger(value) ? count(value) : String(value);
  }
  if (Array.isArray(value) && value.every((one) => typeof one !== "object"))
    return value.join(", ");
  return typeof value === "string" ? value : JSON.stringify(value);
}

function list(value: unknown): Row[] {
  return Array.isArray(value)
    ? value.filter((one): one is Row => typeof one === "object" && one !== null)
    : [];
}

const text = (row: Row, name: string) =>
  row[name] === undefined || row[name] === null ? "" : String(row[name]);
const number = (row: Row, name: string) =>
  typeof row[name] === "number" ? (row[name] as number) : undefined;
const size = (row: Row, name: string) => {
  const value = number(row, name);
  return value === undefined ? "–" : bytes(value);
};

function Disks({ rows }: { rows: Row[] }) {
  if (rows.length === 0) return null;
  return (
    <section class="panel table" tabIndex={0} aria-label="Disks">
      <header>
        <h2>Disks</h2>
      </header>
      <table>
        <thead>
          <tr>
            <th>Mounted at</th>
            <th>Kind</th>
            <th class="number">Used of</th>
            <th class="number">Full</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => {
            const full = number(row, "percent") ?? 0;
            return (
              <tr key={text(row, "mount_point") + text(row, "name")}>
                <td title={text(row, "name")}>
                  <Foreign>{text(row, "mount_point")}</Foreign>
                </td>
                <td class="soft">
                  <Foreign>{text(row, "file_system")}</Foreign>
                </td>
                <td class="number">
                  {size(row, "used_bytes")} <span class="quiet">of {size(row, "total_bytes")}</span>
                </td>
                <td class="number">
                  <span
                    class={`meter ${full > 95 ? "bad" : full > 85 ? "warn" : ""}`}
                    aria-hidden="true"
                  >
                    <i style={{ width: `${Math.min(100, full)}%` }} />
                  </span>{" "}
                  {percent(full)}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}

function Networks({ rows }: { rows: Row[] }) {
  if (rows.length === 0) return null;
  return (
    <section class="panel table" tabIndex={0} aria-label="Networks">
      <header>
        <h2>Networks</h2>
      </header>
      <table>
        <thead>
          <tr>
            <th>Interface</th>
            <th>Addresses</th>
            <th class="number">In</th>
            <th class="number">Out</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={text(row, "name")}>
              <td title={text(row, "mac_address")}>
                <Foreign>{text(row, "name")}</Foreign>
              </td>
              <td class="mono">
                {(Array.isArray(row.addresses) ? row.addresses : []).map((address) => (
                  <div key={String(address)}>
                    <Foreign>{String(address)}</Foreign>
                  </div>
                ))}
              </td>
              <td class="number">{size(row, "bytes_in")}</td>
              <td class="number">{size(row, "bytes_out")}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Processes({ title, rows }: { title: string; rows: Row[] }) {
  if (rows.length === 0) return null;
  return (
    <section class="panel table" tabIndex={0} aria-label={title}>
      <header>
        <h2>{title}</h2>
      </header>
      <table>
        <thead>
          <tr>
            <th>Process</th>
            <th class="number">Id</th>
            <th class="number">Processor</th>
            <th class="number">Memory</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={text(row, "pid")}>
              <td>
                <Foreign>{text(row, "name")}</Foreign>
              </td>
              <td class="number soft">{text(row, "pid")}</td>
              <td class="number">{percent(number(row, "cpu_percent") ?? 0)}</td>
              <td class="number">{size(row, "memory_bytes")}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
