// The fleet: how it stands, and every device of it.

import { computed, useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { subscribe } from "../../api/live";
import type { Device } from "../../api/types";
import { SearchIcon } from "../../parts/icons";
import { Bones, Empty, Failed } from "../../parts/notice";
import { Rows } from "../../parts/rows";
import { SameAs } from "../../parts/same_as";
import { go, query, setQuery } from "../../route";
import { session } from "../../session";
import { inert } from "../../text/inert";
import { count, counted } from "../../text/number";
import { Cells } from "./cells";
import { Counts } from "./counts";
import { choiceOf, filtered, sorted } from "./select";
import { fleet, keyOf } from "./store";

const VISIBLE_EVERY_MS = 5_000;
const COUNTS_EVERY_MS = 10_000;
/** Reading everything anew is for what nobody pushes: names, labels, new devices. */
const ALL_EVERY_MS = 60_000;
const SCROLL_PAUSE_MS = 150;
const ROW_PX = 38;
const NARROW_ROW_PX = 58;
const NARROW = matchMedia("(max-width: 52rem)");

const choice = computed(() => choiceOf(query.value));
const inOrder = computed(() => sorted(fleet.rows.value, choice.value.sort));
const shown = computed(() => filtered(inOrder.value, choice.value));

session.subscribe((who) => who === null && fleet.clear());

export function FleetPage() {
  const seen = useSignal<readonly Device[]>([]);
  const narrow = useSignal(NARROW.matches);
  useEffect(() => keepFresh(seen), [seen]);
  useEffect(() => {
    const follow = () => {
      narrow.value = NARROW.matches;
    };
    NARROW.addEventListener("change", follow);
    return () => NARROW.removeEventListener("change", follow);
  }, [narrow]);

  return (
    <>
      <header class="fleet-head">
        <h1 class="hidden">Fleet</h1>
        <Counts />
      </header>
      <Filters />
      {fleet.problem.value && (
        <Failed
          problem={fleet.problem.value}
          retry={() => fleet.load(new AbortController().signal)}
        />
      )}
      <Table seen={seen} heightPx={narrow.value ? NARROW_ROW_PX : ROW_PX} />
    </>
  );
}

function Table({ seen, heightPx }: { seen: { value: readonly Device[] }; heightPx: number }) {
  const rows = shown.value;
  if (fleet.rows.value.length === 0) {
    if (fleet.readAt.value === 0) return fleet.problem.value ? null : <Bones rows={12} />;
    return (
      <Empty title="No device yet">
        <p>
          Make an enrolment token under <a href="/tenants">Tenants</a>; its install command brings
          the first device.
        </p>
      </Empty>
    );
  }
  if (rows.length === 0) {
    return (
      <Empty title="No device fits">
        <button type="button" onClick={() => go("/", "replace")}>
          Show all {count(fleet.rows.value.length)}
        </button>
      </Empty>
    );
  }
  return (
    <Rows
      rows={rows}
      keyOf={keyOf}
      heightPx={heightPx}
      columns={9}
      label="Devices"
      look="fleet"
      head={<Head />}
      cells={(row) => <Cells row={row} />}
      open={(row) => go(`/devices/${row.device}`)}
      // biome-ignore lint/suspicious/noExplicitAny: a signal of the same.
      seen={seen as any}
    />
  );
}

function Head() {
  return (
    <>
      <Sort by="state">State</Sort>
      <Sort by="name">Device</Sort>
      <Sort by="tenant">Tenant</Sort>
      <span role="columnheader" class="c-labels">
        Labels
      </span>
      <Sort by="last_heartbeat" look="number">
        Heartbeat
      </Sort>
      <span role="columnheader" class="c-reading">
        Processor
      </span>
      <span role="columnheader" class="c-reading">
        Memory
      </span>
      <span role="columnheader" class="c-reading">
        Disk
      </span>
      <Sort by="agent_version">Agent</Sort>
    </>
  );
}

const CELL: Record<string, string> = { last_heartbeat: "c-heartbeat", agent_version: "c-version" };

function Sort({ by, children, look = "" }: { by: string; children: string; look?: string }) {
  const sort = choice.value.sort;
  const isUp = sort === by;
  const isDown = sort === `-${by}`;
  return (
    <span
      role="columnheader"
      class={`${CELL[by] ?? `c-${by}`} ${look}`}
      aria-sort={isUp ? "ascending" : isDown ? "descending" : undefined}
    >
      <button
        type="button"
        onClick={() => setQuery({ sort: isUp ? `-${by}` : by === "name" ? undefined : by })}
      >
        {children}
        <span aria-hidden="true">{isUp ? " ↑" : isDown ? " ↓" : ""}</span>
      </button>
    </span>
  );
}

function Filters() {
  const { text, tenant, labels, state } = choice.value;
  const field = useRef<HTMLInputElement>(null);
  const tenants = useComputed(() => tenantsOf(fleet.rows.value));
  const known = useComputed(() => labelsOf(fleet.rows.value));
  const addLabel = (label: string) => {
    const changed = new URLSearchParams(query.value);
    if (!labels.includes(label)) changed.append("label", label);
    go(`/?${changed}`, "replace");
  };
  const dropLabel = (label: string) => {
    const changed = new URLSearchParams(query.value);
    changed.delete("label", label);
    go(`/?${changed}`, "replace");
  };
  return (
    <div class="filters" role="search">
      <label class="find">
        <span class="hidden">Filter devices</span>
        <SearchIcon />
        <input
          ref={field}
          type="search"
          placeholder="Name, host, label, id, version"
          autocomplete="off"
          spellcheck={false}
          value={text}
          onInput={(event) => setQuery({ text: event.currentTarget.value })}
        />
        <kbd class="wide">/</kbd>
      </label>
      {tenants.value.length > 1 && (
        <select
          aria-label="Tenant"
          value={tenant}
          onChange={(event) => setQuery({ tenant: event.currentTarget.value })}
        >
          <option value="">All tenants</option>
          {tenants.value.map(([id, name]) => (
            <option key={id} value={id}>
              {inert(name)}
            </option>
          ))}
        </select>
      )}
      {known.value.length > 0 && (
        <select
          aria-label="Label"
          value=""
          onChange={(event) => event.currentTarget.value && addLabel(event.currentTarget.value)}
        >
          <option value="">Label…</option>
          {known.value.map((label) => (
            <option key={label} value={label}>
              {inert(label)}
            </option>
          ))}
        </select>
      )}
      {labels.map((label) => (
        <button
          key={label}
          type="button"
          class="chip"
          aria-pressed="true"
          title="remove"
          onClick={() => dropLabel(label)}
        >
          <bdi>{inert(label)}</bdi> ×
        </button>
      ))}
      <span class="spacer" />
      <span class="quiet small" role="status">
        {shown.value.length === fleet.rows.value.length
          ? counted(shown.value.length, "device")
          : `${count(shown.value.length)} of ${counted(fleet.rows.value.length, "device")}`}
      </span>
      <SameAs
        command={["wegweiser devices", ...labels.map((label) => `--label ${label}`)].join(" ")}
        request={{
          method: "GET",
          path: "/v1/devices",
          query: {
            tenant,
            text,
            label: labels,
            state: state === "clock" ? "" : state,
            limit: 1000,
          },
        }}
      />
    </div>
  );
}

const CHOICES_SHOWN = 200;

function tenantsOf(rows: readonly Device[]): [string, string][] {
  const found = new Map<string, string>();
  for (const row of rows) found.set(row.tenant, row.tenant_name ?? row.tenant);
  return [...found].sort((a, b) => a[1].localeCompare(b[1]));
}

function labelsOf(rows: readonly Device[]): string[] {
  const found = new Set<string>();
  for (const row of rows) {
    for (const [key, value] of Object.entries(row.labels)) found.add(`${key}=${value}`);
  }
  return [...found].sort().slice(0, CHOICES_SHOWN);
}

/** Reads and follows everything that this page shows, until the returned function is called. */
function keepFresh(seen: {
  value: readonly Device[];
  peek(): readonly Device[];
  subscribe: (run: () => void) => () => void;
}): () => void {
  const abort = new AbortController();
  const unlessHidden = (run: () => unknown) => () => !document.hidden && run();
  const reload = () => void Promise.all([fleet.load(abort.signal), fleet.loadCounts(abort.signal)]);
  reload();
  const freshen = () => void fleet.freshen(seen.peek(), abort.signal).catch(() => {});
  const timers = [
    setInterval(unlessHidden(freshen), VISIBLE_EVERY_MS),
    setInterval(
      unlessHidden(() => fleet.loadCounts(abort.signal)),
      COUNTS_EVERY_MS,
    ),
    setInterval(
      unlessHidden(() => fleet.load(abort.signal)),
      ALL_EVERY_MS,
    ),
  ];
  let pause: ReturnType<typeof setTimeout> | undefined;
  let before = "";
  const stopSeeing = seen.subscribe(() => {
    const ids = seen.peek().map(keyOf).join();
    if (ids === before) return;
    before = ids;
    clearTimeout(pause);
    pause = setTimeout(freshen, SCROLL_PAUSE_MS);
  });
  const unsubscribe = subscribe({
    what: "presence",
    take: (changes) => {
      fleet.apply(changes);
      void fleet.loadCounts(abort.signal);
    },
    refresh: reload,
  });
  return () => {
    abort.abort();
    timers.forEach(clearInterval);
    clearTimeout(pause);
    stopSeeing();
    unsubscribe();
  };
}
