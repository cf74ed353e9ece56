// What a metric is called and how its values are written. The names are the agent's (docs/agent.md);
// one that is not known here is shown under its own name as a plain number.

import { brief, bytes, count, percent } from "./number";
import { span } from "./time";

export type Kind =
  | "percent"
  | "bytes"
  | "bytes_per_s"
  | "per_s"
  | "seconds"
  | "celsius"
  | "flag"
  | "plain";

export interface Shown {
  title: string;
  kind: Kind;
  /** A counter that only grows: its rate is drawn. */
  isCounter: boolean;
}

const TITLES: Record<string, string> = {
  cpu_percent: "Processor",
  memory_percent: "Memory",
  disk_percent: "Disk",
  network_bytes_in: "Network in",
  network_bytes_out: "Network out",
  uptime: "Uptime",
};
/** Those that stand first. */
export const MAIN_METRICS = [
  "cpu_percent",
  "memory_percent",
  "disk_percent",
  "network_bytes_in",
  "network_bytes_out",
];

/** How a metric is shown. */
export function shownAs(metric: string): Shown {
  return { title: titleOf(metric), ...kindOf(metric) };
}

function titleOf(metric: string): string {
  const known = TITLES[metric];
  if (known) return known;
  const words = metric.replace(/_(percent|celsius|bytes)(?=_|$)/g, "").replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function kindOf(metric: string): { kind: Kind; isCounter: boolean } {
  if (
    /^(network|disk_io|interface)_.*(errors|drops|dropped|packets|reads|writes|operations)/.test(
      metric,
    )
  ) {
    return { kind: "per_s", isCounter: true };
  }
  if (
    /^(network_bytes|disk_read_bytes|disk_write_bytes|interface_bytes|disk_io_bytes|network_)/.test(
      metric,
    )
  ) {
    return { kind: "bytes_per_s", isCounter: true };
  }
  if (/percent/.test(metric)) return { kind: "percent", isCounter: false };
  if (/bytes/.test(metric)) return { kind: "bytes", isCounter: false };
  if (/celsius/.test(metric)) return { kind: "celsius", isCounter: false };
  if (/^unit_(active|failed)_/.test(metric)) return { kind: "flag", isCounter: false };
  if (metric === "uptime" || /_seconds$/.test(metric)) return { kind: "seconds", isCounter: false };
  return { kind: "plain", isCounter: false };
}

/** A value with its unit. */
export function valueText(kind: Kind, value: number): string {
  switch (kind) {
    case "percent":
      return percent(value);
    case "bytes":
      return bytes(value);
    case "bytes_per_s":
      return `${bytes(value)}/s`;
    case "per_s":
      return `${brief(value)}/s`;
    case "seconds":
      return span(value * 1000);
    case "celsius":
      return `${value.toFixed(1)} °C`;
    case "flag":
      return value === 0 ? "no" : "yes";
    default:
      return Number.isInteger(value) && Math.abs(value) < 10_000 ? count(value) : brief(value);
  }
}
