// Words and numbers as people read them, and foreign text made inert.

import { describe, expect, it } from "vitest";
import { inert, inertLines } from "../src/text/inert";
import { shownAs, valueText } from "../src/text/metric";
import { bytes, percent } from "../src/text/number";
import { ago, span } from "../src/text/time";

describe("foreign text", () => {
  it("shows what turns the direction of what follows", () => {
    expect(inert("invoice\u202efdp.exe")).toBe("invoice⟨202E⟩fdp.exe");
    expect(inert("a\u2066b\u2069")).toBe("a⟨2066⟩b⟨2069⟩");
  });
  it("shows controls, and what has no width", () => {
    expect(inert("bell\u0007 escape\u001b[31m zero\u200bwidth")).toBe(
      "bell⟨0007⟩ escape⟨001B⟩[31m zero⟨200B⟩width",
    );
  });
  it("keeps line breaks only where there are lines", () => {
    expect(inert("a\nb")).toBe("a⟨000A⟩b");
    expect(inertLines("a\r\n\tb\u0000")).toBe("a\n\tb⟨0000⟩");
  });
  it("leaves other people's letters alone", () => {
    expect(inert("Straße שלום 東京 👩")).toBe("Straße שלום 東京 👩");
  });
});

describe("units", () => {
  it("writes lengths of time in two units", () => {
    expect(span(120)).toBe("120 ms");
    expect(span(59_700)).toBe("60 s");
    expect(span(3_599_900)).toBe("1 h");
    expect(span(3 * 3_600_000 + 60_000)).toBe("3 h 1 min");
    expect(span(-90_000)).toBe("1 min 30 s");
  });
  it("says how long ago", () => {
    expect(ago(1000, 1400)).toBe("now");
    expect(ago(0, 240_000)).toBe("4 min ago");
    expect(ago(86_400_000, 0)).toBe("in 24 h");
  });
  it("writes bytes and percent", () => {
    expect(bytes(1023)).toBe("1023 B");
    expect(bytes(1536)).toBe("1.50 KiB");
    expect(bytes(5 * 1024 ** 3)).toBe("5 GiB");
    expect(percent(99.96)).toBe("100 %");
  });
  it("knows what the agent's metrics are", () => {
    expect(shownAs("network_bytes_in")).toEqual({
      title: "Network in",
      kind: "bytes_per_s",
      isCounter: true,
    });
    expect(shownAs("temperature_celsius_cpu")).toMatchObject({
      title: "Temperature cpu",
      kind: "celsius",
    });
    expect(valueText(shownAs("unit_failed_nginx").kind, 1)).toBe("yes");
  });
});
