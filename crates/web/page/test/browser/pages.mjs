// Every page, light and dark, at two widths: fit for axe, not wider than the window, nothing jumps,
// and in the light and wide one keys reach everything; started by the integration tests, which fill
// a small fleet. With PICTURES it leaves a picture of each.
//
// DEVICE is measured since ten minutes, AGENT has a real agent that may run PROGRAM.

import {
  breadth,
  hold,
  noMoreErrands,
  picture,
  settled,
  shifted,
  signIn,
  start,
  unfit,
  watch,
} from "./browser.mjs";

const { BASE, TOKEN, DEVICE, AGENT, TENANT, PROGRAM } = process.env;
const WITHIN_MS = 30_000;
const SIZES = [
  [1280, 800],
  [360, 740],
];

/** By the name of its picture: where it is, what is there once it is whole, and what is done on it. */
const pages = {
  fleet: { path: "/", whole: ".line .c-reading path[d^=M]" },
  device: { path: `/devices/${DEVICE}`, whole: "figure.chart:nth-of-type(4) canvas" },
  report: { path: `/devices/${AGENT}/report`, whole: ".panel table" },
  commands: { path: `/devices/${AGENT}/commands`, whole: ".output:not(:empty)" },
  connectivity: { path: `/devices/${DEVICE}/connectivity`, whole: ".panel table, .panel li" },
  credential: { path: `/devices/${AGENT}/credential`, whole: ".panel table" },
  revoke: { path: `/devices/${AGENT}/credential`, whole: ".panel table", press: "Revoke…" },
  "dead-letters": { path: "/dead-letters?letter=2", whole: "aside .panel dl" },
  replay: { path: "/dead-letters", whole: ".panel table", many: true },
  pipeline: { path: "/pipeline", whole: ".streams .sparkline path[d*=L]" },
  tenants: { path: "/tenants", whole: ".panel table" },
  tenant: { path: `/tenants/${TENANT}`, whole: ".panel table" },
  audit: { path: "/audit", whole: ".panel table, table" },
  search: { path: "/", whole: ".line .c-reading path[d^=M]", keys: "Control+k", type: "till" },
};

const browser = await start();

/** Orders that the console then shows. */
async function order(page) {
  await page.goto(`${BASE}/devices/${AGENT}/commands`);
  const send = page.getByRole("button", { name: "Send", exact: true });
  const ended = page.locator(".history").getByText("done", { exact: true });
  const kinds = ["Ping", "System", "Collect now"];
  for (const [index, label] of kinds.entries()) {
    await page.locator("select[name=kind]").selectOption({ label });
    await send.click();
    await ended.nth(index).waitFor();
  }
  await page.locator("select[name=kind]").selectOption({ label: "Run a program" });
  const refused = page.locator(".history").getByText("refused", { exact: true });
  let answered = kinds.length;
  for (const program of ["/usr/bin/rm", "/usr/bin/uptime", PROGRAM]) {
    await page.locator("input[name=program]").fill(program);
    await send.click();
    await (program.endsWith("rm") ? refused : ended.nth(answered++)).waitFor();
  }
}

async function show(page, { path, whole, press, many, keys, type }) {
  await page.goto(BASE + path);
  await page.locator(whole).first().waitFor({ state: "attached" });
  await settled(page);
  if (press) await page.getByRole("button", { name: press, exact: true }).click();
  if (many) {
    await page.getByLabel("Pick all").check();
    await page.getByRole("button", { name: /^Replay \d/ }).click();
    await page.locator("dialog .effect").getByText("What would happen", { exact: true }).waitFor();
  }
  if (keys) await page.keyboard.press(keys);
  if (type) {
    await page.keyboard.type(type);
    await page.locator("dialog [role=option]").nth(2).waitFor();
  }
}

/** Tab goes through everything that can be used, in the order of the page, and shows where it is. */
async function walk(page, name) {
  await page.evaluate(() => {
    document.activeElement?.blur?.();
    scrollTo(0, 0);
  });
  let before = -1;
  let seen = 0;
  for (;;) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      const all = [...document.querySelectorAll("*")];
      const style = getComputedStyle(element);
      const ring = style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) > 0;
      const own = style.boxShadow !== "none" || element.matches(".palette input");
      return {
        index: all.indexOf(element),
        shown: ring || own,
        html: element.outerHTML.slice(0, 90),
      };
    });
    if (at === null || at.index < before) break;
    if (!at.shown) hold(`the focus is seen on ${name}: ${at.html}`, false);
    before = at.index;
    seen += 1;
    if (seen > 400) hold(`Tab comes to an end on ${name}`, false);
  }
  hold(`${name}: ${seen} places by Tab, in order, each seen`, seen > 5);
}

async function look(page, name, what, [width, scheme]) {
  await show(page, what);
  const about = `${name} ${scheme} ${width}`;
  const { wide, what: over } = await breadth(page);
  hold(`${about} is ${wide} px wide ${over}`, wide <= width);
  const { total, what: jumped } = await shifted(page);
  hold(`${about} does not jump: ${total.toFixed(3)} ${jumped}`, total < 0.1);
  await picture(page, `${name}-${scheme}-${width}`);
  const found = await unfit(page);
  hold(`axe finds nothing serious on ${about} ${found.join("; ")}`, found.length === 0);
  if (scheme === "light" && width === 1280 && !what.press && !what.many && !what.keys) {
    await walk(page, name);
  }
}

let page;
const wrong = [];
try {
  let isOrdered = false;
  for (const [width, height] of SIZES) {
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ viewport: { width, height }, colorScheme });
      context.setDefaultTimeout(WITHIN_MS);
      const noted = await watch(context);
      page = await context.newPage();
      await page.goto(`${BASE}/`);
      await page.getByRole("tab", { name: "API token" }).waitFor();
      await picture(page, `sign-in-${colorScheme}-${width}`);
      const found = await unfit(page);
      hold(`axe finds nothing serious on the sign-in ${found.join("; ")}`, found.length === 0);
      await signIn(page, BASE, TOKEN);
      if (!isOrdered) await order(page);
      isOrdered = true;
      for (const [name, what] of Object.entries(pages)) {
        await look(page, name, what, [width, colorScheme]);
      }
      wrong.push(...noted);
      await context.close();
    }
  }
  hold(`nothing went wrong unseen ${wrong.join("; ")}`, wrong.length === 0);
  console.log("THE END");
} catch (error) {
  console.log(page?.url());
  console.log((await page?.locator("body").textContent())?.slice(0, 20_000));
  console.log(String(error));
  throw error;
} finally {
  noMoreErrands();
  await browser.close();
}
