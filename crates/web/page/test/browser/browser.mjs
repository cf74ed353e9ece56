// What the browser's scripts share: Chromium as the tests start it, signing in, errands, and what is
// asked of whatever page is shown.
//
// Headless, without a sandbox (they may run as root), with a new profile, and with nothing of its own
// going out. CHROMIUM is the program; its libraries are in the environment already. PICTURES is where
// pictures go; without it none are taken.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const { CHROMIUM, PICTURES } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const start = () =>
  chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
  });

/** Signs in by the form, with an API token. */
export async function signIn(page, base, token) {
  await page.goto(`${base}/`);
  await page.getByRole("tab", { name: "API token" }).click();
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.locator("#main").waitFor();
}

const begun = Date.now();

/** Says what held, and when; ends the script where it did not. */
export function hold(what, holds) {
  if (!holds) throw new Error(`does not hold: ${what}`);
  console.log(`${((Date.now() - begun) / 1000).toFixed(1)} s: ${what}`);
}

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Has something done where a browser cannot reach. */
export async function ask(errand) {
  console.log(`ASK ${errand}`);
  const { value } = await answers.next();
  if (value !== "done") throw new Error(`nobody did: ${errand}`);
}

/** No more errands: lets the script end. */
export const noMoreErrands = () => process.stdin.destroy();

/** Notes what no page may do, from before its first line on. */
export async function watch(context) {
  const wrong = [];
  context.on("weberror", (error) => wrong.push(error.error().message));
  context.on("dialog", (dialog) => {
    wrong.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await context.exposeBinding("noteWrong", (_, text) => wrong.push(text));
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) =>
      window.noteWrong(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`),
    );
    window.shifts = [];
    new PerformanceObserver((list) => {
      for (const shift of list.getEntries()) {
        const names = shift.sources.map(({ node }) => node?.className || node?.nodeName);
        if (!shift.hadRecentInput) window.shifts.push([shift.value, names.join(" ")]);
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
  return wrong;
}

/** What axe calls serious on what is shown now. */
export async function unfit(page) {
  const { violations } = await page.evaluate(
    `${axe}; axe.run(document, { resultTypes: ["violations"] })`,
  );
  const grave = violations.filter((one) => ["serious", "critical"].includes(one.impact));
  return grave.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" ")}`);
}

/** How much what is shown has jumped since it was loaded, and what did. */
export async function shifted(page) {
  const shifts = await page.evaluate(() => window.shifts);
  const total = shifts.reduce((sum, [value]) => sum + value, 0);
  return { total, what: shifts.map(([value, name]) => `${value.toFixed(3)} ${name}`).join("; ") };
}

/** How wide what is shown is, and what makes it so. */
export async function breadth(page) {
  return page.evaluate(() => {
    const wide = document.documentElement.scrollWidth;
    const over = [...document.querySelectorAll("#main *")]
      .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
      .slice(0, 8)
      .map((one) => `${one.nodeName}.${one.getAttribute("class") ?? ""}`);
    return { wide, what: wide > innerWidth ? over.join(" ") : "" };
  });
}

/** Waits until what is shown is read and drawn. */
export async function settled(page) {
  await page.waitForFunction(() => {
    const main = document.querySelector("#main, main");
    return main && !main.querySelector("[aria-busy=true]") && document.fonts.status === "loaded";
  });
}

export async function picture(page, name, options = {}) {
  if (!PICTURES) return;
  // The mouse leaves no mark.
  await page.mouse.move(0, 0);
  await page.screenshot({ path: `${PICTURES}/${name}.png`, ...options });
}
