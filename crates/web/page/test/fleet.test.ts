// What the address says of the fleet is what is shown.

import { describe, expect, it } from "vitest";
import type { Device } from "../src/api/types";
import { choiceOf, filtered, sorted, stateOf } from "../src/pages/fleet/select";
import { compareVersions, FleetStore } from "../src/pages/fleet/store";

function device(name: string, change: Partial<Device> = {}): Device {
  return {
    tenant: "t1",
    tenant_name: "Acme",
    device: `id-${name}`,
    name,
    hostname: null,
    platform: null,
    online: true,
    last_online_change: 1000,
    last_heartbeat: 2000,
    clock_offset_ms: 0,
    agent_version: "1.2.0",
    session: null,
    labels: {},
    registered: true,
    revoked: false,
    credential_expires_at: null,
    ...change,
  };
}

const rows = [
  device("till 10", { labels: { site: "cologne" } }),
  device("till 9", { online: false }),
  device("router", { clock_offset_ms: -9000, hostname: "RT-1" }),
];
const names = (found: readonly Device[]) => found.map((row) => row.name);
const shown = (query: string) =>
  names(filtered(sorted(rows, "name"), choiceOf(new URLSearchParams(query))));

describe("filters", () => {
  it("find words in any order, in names, hosts and labels", () => {
    expect(shown("text=COLOGNE till")).toEqual(["till 10"]);
    expect(shown("text=rt-1")).toEqual(["router"]);
  });
  it("follow state, clock and label", () => {
    expect(shown("state=offline")).toEqual(["till 9"]);
    expect(shown("state=clock")).toEqual(["router"]);
    expect(shown("label=site%3Dcologne")).toEqual(["till 10"]);
    expect(shown("tenant=other")).toEqual([]);
  });
});

it("sorts numbers within names as numbers", () => {
  expect(names(sorted(rows, "name"))).toEqual(["router", "till 9", "till 10"]);
  expect(names(sorted(rows, "-state"))[0]).toBe("till 10");
  expect(compareVersions("0.10.0", "0.9.1")).toBeGreaterThan(0);
});

it("shows a revoked device as revoked, whatever it last said", () => {
  expect(stateOf(device("x", { revoked: true }))).toBe("revoked");
  expect(stateOf(device("x", { last_heartbeat: null, online: false }))).toBe("unseen");
});

it("takes no state that is older than the one shown", () => {
  const store = new FleetStore();
  store.rows.value = [device("a")];
  store.apply([{ tenant: "t1", device: "id-a", online: false, at: 500 }]);
  expect(store.rows.value[0]?.online).toBe(true);
  store.apply([{ tenant: "t1", device: "id-a", online: false, at: 1500 }]);
  expect(store.rows.value[0]).toMatchObject({ online: false, last_online_change: 1500 });
});
