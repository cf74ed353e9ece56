// When a device was online: unknown time counts as neither.

import { expect, it } from "vitest";
import { awaysOf, share, slotsOf } from "../src/text/availability";

const told = (online_before: boolean | null, changes: { at: number; online: boolean }[]) => ({
  device: "d",
  since: 0,
  until: 100,
  online_before,
  changes,
  more: false,
});

it("cuts time away over its slots", () => {
  const slots = slotsOf(
    told(true, [
      { at: 40, online: false },
      { at: 60, online: true },
    ]),
    2,
  );
  expect(slots.map(({ online, offline }) => [online, offline])).toEqual([
    [40, 10],
    [40, 10],
  ]);
  expect(share(slots)).toBeCloseTo(0.8);
});

it("counts what is not known of as neither", () => {
  const slots = slotsOf(told(null, [{ at: 50, online: true }]), 2);
  expect(slots[0]).toMatchObject({ online: 0, offline: 0 });
  expect(share(slots)).toBe(1);
  expect(share(slotsOf(told(null, []), 4))).toBeUndefined();
});

it("lists times away, newest first, and says which last", () => {
  const changes = [
    { at: 10, online: false },
    { at: 20, online: true },
    { at: 90, online: false },
  ];
  expect(awaysOf(told(true, changes))).toEqual([
    { from: 90, until: null },
    { from: 10, until: 20 },
  ]);
});
