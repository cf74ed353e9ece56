// Pictures of every page, light and dark, at two widths, of a running demo:
//
//   CHROMIUM=… BASE=https://localhost:8080 TOKEN_FILE=… DEVICE=… TENANT=… OUT=docs/images \
//     node test/browser/pictures.mjs
//
// The demo's certificate is its own authority's, which the browser does not know.

import { readFileSync } from "node:fs";
import { signIn, start } from "./browser.mjs";

const { BASE, TOKEN_FILE, DEVICE, TENANT, OUT, ONLY } = process.env;
const token = readFileSync(TOKEN_FILE, "utf8").trim();
const SETTLE_MS = 7_000;

const pages = {
  fleet: "/",
  device: `/devices/${DEVICE}`,
  report: `/devices/${DEVICE}/report`,
  commands: `/devices/${DEVICE}/commands`,
  connectivity: `/devices/${DEVICE}/connectivity`,
  credential: `/devices/${DEVICE}/credential`,
  "dead-letters": "/dead-letters",
  pipeline: "/pipeline",
  tenants: "/tenants",
  tenant: `/tenants/${TENANT}`,
  audit: "/audit",
};

const browser = await start();
for (const [width, height] of [
  [1280, 800],
  [360, 740],
]) {
  for (const colorScheme of ["light", "dark"]) {
    const context = await browser.newContext({
      viewport: { width, height },
      colorScheme,
      ignoreHTTPSErrors: true,
    });
    const page = await context.newPage();
    page.on("pageerror", (error) => console.log(colorScheme, width, page.url(), error.message));
    page.on("console", (message) => {
      if (message.type() === "error") console.log(colorScheme, width, page.url(), message.text());
    });
    await page.goto(`${BASE}/`);
    await page.waitForTimeout(500);
    await page.screenshot({ path: `${OUT}/sign-in-${colorScheme}-${width}.png` });
    await signIn(page, BASE, token);
    for (const [name, path] of Object.entries(pages)) {
      if (ONLY && !ONLY.split(",").includes(name)) continue;
      await page.goto(BASE + path);
      await page.waitForTimeout(SETTLE_MS);
      await page.screenshot({ path: `${OUT}/${name}-${colorScheme}-${width}.png` });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      if (wide > width) console.log(`${name} is ${wide} px wide at ${width}`);
    }
    await context.close();
  }
}
await browser.close();
