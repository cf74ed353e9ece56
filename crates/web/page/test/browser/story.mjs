// One story in a real browser, of a service with one real agent; started by the integration tests.
// Says THE END when everything held; throws what did not.
//
// BASE, TOKEN and DEVICE say where, who and which device.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { signIn, start } from "./browser.mjs";

const { BASE, TOKEN, DEVICE } = process.env;
const WITHIN_MS = 20_000;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

function hold(what, holds) {
  if (!holds) throw new Error(`does not hold: ${what}`);
  console.log(`held: ${what}`);
}

const browser = await start();
const context = await browser.newContext({
  viewport: { width: 1280, height: 800 },
});
context.setDefaultTimeout(WITHIN_MS);
const page = await context.newPage();
const errors = [];
const unfit = [];
page.on("pageerror", (error) => errors.push(error.message));
page.on("dialog", (dialog) => {
  errors.push(`a dialog: ${dialog.message()}`);
  void dialog.dismiss();
});

/** Nothing serious on what is shown now. */
async function accessible(name) {
  const { violations } = await page.evaluate(
    `${axe}; axe.run(document, { resultTypes: ["violations"] })`,
  );
  const grave = violations.filter((one) => ["serious", "critical"].includes(one.impact));
  for (const one of grave) {
    unfit.push(`${name}: ${one.id}: ${one.nodes.map((node) => node.html).join(" ")}`);
  }
}

try {
  await signIn(page, BASE, TOKEN);
  await page.getByText("online", { exact: true }).first().waitFor();
  await accessible("the fleet");

  await page.goto(`${BASE}/devices/${DEVICE}`);
  await page.getByText(/online for/).waitFor();
  const processor = page.locator("canvas").first();
  await processor.waitFor();
  const before = await processor.screenshot();
  const figure = page.locator("figure.chart figcaption").first();
  const said = await figure.textContent();
  await page.waitForFunction(
    (said) => document.querySelector("figure.chart figcaption")?.textContent !== said,
    said,
  );
  hold("the chart moves", !before.equals(await processor.screenshot()));
  await accessible("the device");

  await page.goto(`${BASE}/devices/${DEVICE}/commands`);
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page
    .locator(".history")
    .getByText(/succeeded|done/)
    .waitFor();
  hold("a ping is answered", true);
  await accessible("the console");

  await page.goto(`${BASE}/devices/${DEVICE}/credential`);
  await page.getByRole("button", { name: "Revoke…" }).click();
  await page.getByRole("button", { name: "Revoke", exact: true }).click();
  await page.getByText(/holds no key that may do this/).waitFor();
  hold(
    "revoking names its command",
    await page.locator("dialog").getByText(`device revoke`).first().isVisible(),
  );

  await page.goto(`${BASE}/dead-letters?letter=1`);
  const letter = page.locator("aside");
  await letter.getByText("<img src=x onerror=alert(1)>").first().waitFor();
  await accessible("dead letters");
  await letter.getByRole("button", { name: /^Replay/ }).click();
  const dialog = page.locator("dialog");
  await dialog.getByRole("button", { name: "Replay", exact: true }).click();
  await dialog
    .getByText(/sent again/)
    .first()
    .waitFor();
  hold("a letter is sent again", true);
  hold(`nothing hostile ran ${errors.join("; ")}`, errors.length === 0);
  hold(`axe finds nothing serious ${unfit.join("; ")}`, unfit.length === 0);
  console.log("THE END");
} catch (error) {
  console.log(page.url());
  console.log(await page.locator("body").textContent());
  console.log(String(error));
  throw error;
} finally {
  await browser.close();
}
