// How soon a device's charts are filled, and how smoothly the fleet scrolls; started by
// `cargo run -p bench --bin page`.
//
// A load begins with the navigation, in a new context that knows nothing but its session: no cache,
// no connection. Charts are filled when four of them have drawn pixels. Frames are the times between
// two of requestAnimationFrame while the whole fleet is scrolled through in five seconds.

import { signIn, start } from "./browser.mjs";

const { BASE, TOKEN, DEVICE, DEVICES, LOADS } = process.env;
const CHARTS = 4;
const SCROLL_MS = 5_000;
const viewport = { width: 1280, height: 800 };

const browser = await start();
const signedIn = await browser.newContext({ viewport });
await signIn(await signedIn.newPage(), BASE, TOKEN);
const storageState = await signedIn.storageState();
await signedIn.close();

/** In the page, from its first line on: when the charts had something on them. */
function noteCharts(wanted) {
  const isDrawn = (canvas) => {
    const { width, height } = canvas;
    if (width === 0 || height === 0) return false;
    const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    return pixels.some((value, index) => index % 4 === 3 && value > 0);
  };
  const look = () => {
    const charts = [...document.querySelectorAll("figure.chart canvas")];
    if (charts.length >= wanted && charts.slice(0, wanted).every(isDrawn)) {
      window.filledAt = performance.now();
    } else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}

/** In the page: when the first rows stood there, and when all had been read. */
function noteRows(devices) {
  const look = () => {
    if (!window.rowsAt && document.querySelector(".line")) window.rowsAt = performance.now();
    const said = document.querySelector("[role=status].quiet")?.textContent ?? "";
    if (said.replace(/\D/g, "") === devices) window.allAt = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}

async function opened(path, script, argument) {
  const context = await browser.newContext({ viewport, storageState });
  const page = await context.newPage();
  if (script) await page.addInitScript(script, argument);
  const session = await context.newCDPSession(page);
  await session.send("Performance.enable");
  await page.goto(BASE + path);
  return { context, page, session };
}

async function paint(page) {
  const read = () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime;
  await page.waitForFunction(read);
  return page.evaluate(read);
}

function said(name, values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  const figures = [at(0.5), sorted[0], sorted.at(-1)].map((value) => `${Math.round(value)} ms`);
  console.log(`${name}: median ${figures[0]}, from ${figures[1]} to ${figures[2]}`);
}

async function deviceLoads() {
  const [paints, filled, scripts, layouts] = [[], [], [], []];
  for (let load = 0; load < Number(LOADS); load += 1) {
    const { context, page, session } = await opened(`/devices/${DEVICE}`, noteCharts, CHARTS);
    await page.waitForFunction(() => window.filledAt);
    paints.push(await paint(page));
    filled.push(await page.evaluate(() => window.filledAt));
    const { metrics } = await session.send("Performance.getMetrics");
    const seconds = (name) => 1000 * metrics.find((one) => one.name === name).value;
    scripts.push(seconds("ScriptDuration"));
    layouts.push(seconds("LayoutDuration") + seconds("RecalcStyleDuration"));
    await context.close();
  }
  said("device: first contentful paint", paints);
  said("device: charts filled", filled);
  said("device: of that in scripts", scripts);
  said("device: of that in layout and style", layouts);
}

async function fleetLoads() {
  const [paints, rows, all] = [[], [], []];
  for (let load = 0; load < Number(LOADS); load += 1) {
    const { context, page } = await opened("/", noteRows, DEVICES);
    await page.waitForFunction(() => window.allAt, undefined, { timeout: 60_000 });
    paints.push(await paint(page));
    rows.push(await page.evaluate(() => window.rowsAt));
    all.push(await page.evaluate(() => window.allAt));
    await context.close();
  }
  said("fleet: first contentful paint", paints);
  said("fleet: first rows", rows);
  said("fleet: all devices read", all);
}

async function fleetScroll() {
  const { context, page } = await opened("/", noteRows, DEVICES);
  await page.waitForFunction(() => window.allAt, undefined, { timeout: 60_000 });
  const { frames, most } = await page.evaluate(
    (lasting) =>
      new Promise((resolve) => {
        const height = document.documentElement.scrollHeight - innerHeight;
        const times = [];
        let most = 0;
        const begun = performance.now();
        let last = begun;
        const step = (now) => {
          times.push(now - last);
          last = now;
          scrollTo(0, (height * (now - begun)) / lasting);
          most = Math.max(most, document.querySelectorAll(".line").length);
          if (now - begun < lasting) requestAnimationFrame(step);
          else resolve({ frames: times.slice(1), most });
        };
        requestAnimationFrame(step);
      }),
    SCROLL_MS,
  );
  const sorted = [...frames].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  console.log(
    `fleet: ${frames.length} frames in ${SCROLL_MS / 1000} s of scrolling through all, p50 ${at(0.5).toFixed(1)} ms, p95 ${at(0.95).toFixed(1)} ms, p99 ${at(0.99).toFixed(1)} ms, longest ${sorted.at(-1).toFixed(1)} ms`,
  );
  console.log(`fleet: at most ${most} rows in the document`);
  await context.close();
}

await deviceLoads();
await fleetLoads();
await fleetScroll();
await browser.close();
process.exit(0);
