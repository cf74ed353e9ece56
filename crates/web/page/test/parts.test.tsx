// What the parts put on the page.

import { render } from "preact";
import { act } from "preact/test-utils";
import { expect, it } from "vitest";
import { Problem } from "../src/api/http";
import { Failed } from "../src/parts/notice";
import { Rows } from "../src/parts/rows";
import { curl, quoted } from "../src/parts/same_as";
import { Foreign } from "../src/parts/text";

function shown(element: preact.ComponentChild): HTMLElement {
  const place = document.createElement("div");
  document.body.append(place);
  act(() => render(element, place));
  return place;
}

it("shows markup in a name as text", () => {
  const place = shown(<Foreign>{"<img src=x onerror=alert(1)>\u202e"}</Foreign>);
  expect(place.querySelector("img")).toBeNull();
  expect(place.textContent).toBe("<img src=x onerror=alert(1)>⟨202E⟩");
});

it("tells a refusal with its remedy and the request's id", () => {
  const place = shown(
    <Failed
      problem={new Problem(403, "role too low", "it takes operator", undefined, "ask", "r-1")}
    />,
  );
  expect(place.textContent).toContain("Role too low. it takes operator");
  expect(place.textContent).toContain("ask");
  expect(place.textContent).toContain("r-1");
});

it("has elements only for the rows that can be seen, and keys reach the others", () => {
  const rows = Array.from({ length: 10_000 }, (_, index) => `row ${index}`);
  let opened = "";
  const place = shown(
    <Rows
      rows={rows}
      keyOf={(row) => row}
      heightPx={40}
      columns={1}
      label="Rows"
      head={<span role="columnheader">Row</span>}
      cells={(row) => <span role="gridcell">{row}</span>}
      open={(row) => {
        opened = row;
      }}
    />,
  );
  expect(place.querySelectorAll(".line").length).toBeLessThan(80);
  const grid = place.querySelector("[role=grid]") as HTMLElement;
  expect(grid.getAttribute("aria-rowcount")).toBe("10001");
  for (const key of ["End", "Enter"]) {
    act(() => void grid.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })));
  }
  expect(opened).toBe("row 9999");
});

it("writes a request for a shell, whatever is in it", () => {
  expect(quoted("it's")).toBe("'it'\\''s'");
  const text = curl(
    { method: "POST", path: "/v1/x", query: { a: "b c" }, body: { why: "it's" } },
    "https://w",
  );
  expect(text).toContain("-X POST");
  expect(text).toContain("'https://w/v1/x?a=b+c'");
  expect(text).toContain("'{\"why\":\"it'\\''s\"}'");
  expect(text).not.toContain("Bearer wegweiser");
});
