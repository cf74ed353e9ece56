// The kinds of command, with the fields that a person fills in for each.

export interface Field {
  name: string;
  label: string;
  type: "text" | "lines" | "number" | "words" | "choices";
  initial: string;
  hint?: string;
  required?: boolean;
}

export interface Kind {
  name: string;
  title: string;
  about: string;
  fields: Field[];
}

export const KINDS: Kind[] = [
  { name: "ping", title: "Ping", about: "Answers that it is there.", fields: [] },
  {
    name: "system.info",
    title: "System",
    about: "Host, processor, memory, disks, as of now.",
    fields: [],
  },
  {
    name: "process.list",
    title: "Processes",
    about: "Those that use most, without their command lines.",
    fields: [{ name: "limit", label: "At most", type: "number", initial: "50", required: true }],
  },
  {
    name: "run",
    title: "Run a program",
    about: "Directly, without a shell. The device's configuration says which programs may be run.",
    fields: [
      {
        name: "program",
        label: "Program",
        type: "text",
        initial: "",
        hint: "/usr/bin/uptime",
        required: true,
      },
      { name: "arguments", label: "Arguments, one a line", type: "lines", initial: "" },
    ],
  },
  {
    name: "osquery",
    title: "osquery",
    about: "A question in SQL to osqueryi on the device.",
    fields: [
      {
        name: "sql",
        label: "SQL",
        type: "text",
        initial: "",
        hint: "select * from os_version",
        required: true,
      },
    ],
  },
  {
    name: "agent.collect-now",
    title: "Collect now",
    about: "Sends metrics and a report at once.",
    fields: [],
  },
  {
    name: "agent.set-interval",
    title: "Set an interval",
    about: "How often a collector measures, until the agent is started again.",
    fields: [
      { name: "collector", label: "Collector", type: "text", initial: "cpu", required: true },
      { name: "seconds", label: "Seconds", type: "number", initial: "10", required: true },
    ],
  },
  {
    name: "metrics.start",
    title: "Measure more often",
    about: "For a while.",
    fields: [
      {
        name: "metrics",
        label: "Metrics, with blanks between",
        type: "words",
        initial: "cpu_percent memory_percent",
        required: true,
      },
      {
        name: "interval_ms",
        label: "Every, in milliseconds",
        type: "number",
        initial: "1000",
        required: true,
      },
      { name: "ttl_s", label: "For, in seconds", type: "number", initial: "300", required: true },
    ],
  },
  {
    name: "metrics.stop",
    title: "Back to the usual",
    about: "Ends what was measured more often.",
    fields: [],
  },
];

/** Arguments of a command out of what was typed. */
export function argumentsOf(kind: Kind, typed: Record<string, string>): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const field of kind.fields) {
    const text = typed[field.name] ?? field.initial;
    if (field.type === "number") found[field.name] = Number(text);
    else if (field.type === "lines")
      found[field.name] = text.split("\n").filter((line) => line !== "");
    else if (field.type === "words")
      found[field.name] = text.split(/\s+/).filter((word) => word !== "");
    else found[field.name] = text;
  }
  return found;
}

/** The same for a person's eye: `program argument argument`, or `name=value`. */
export function inWords(args: Record<string, unknown>): string {
  if (typeof args.program === "string") {
    const rest = Array.isArray(args.arguments) ? args.arguments : [];
    return [args.program, ...rest].join(" ");
  }
  if (typeof args.sql === "string") return args.sql;
  const parts = Object.entries(args).map(
    ([name, value]) => `${name}=${Array.isArray(value) ? value.join(",") : value}`,
  );
  return parts.join(" ");
}
