// One story in a real browser, of a service with one real agent; started by the integration tests.
// Says THE END when everything held; throws what did not.
//
// BASE and LINK are where and how the first person gets in; TOKEN is another way. DEVICE has the
// agent, HOSTILE_DEVICE told of itself what should hurt, PROGRAM is what the agent may run.

import {
  ask,
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

const { BASE, LINK, TOKEN, DEVICE, HOSTILE_DEVICE, PROGRAM } = process.env;
const WITHIN_MS = 30_000;
const PASSWORD = "correct horse battery";

const browser = await start();
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
context.setDefaultTimeout(WITHIN_MS);
const wrong = await watch(context);
const page = await context.newPage();

const button = (name) => page.getByRole("button", { name, exact: true });
const dialog = page.locator("dialog");
const rowOf = (device) =>
  page.locator(".line", { has: page.locator(`a[href="/devices/${device}"]`) });

/** Nothing serious on what is shown now, and nothing of it jumped. */
async function isFit(name) {
  const found = await unfit(page);
  hold(`axe finds nothing serious on ${name} ${found.join("; ")}`, found.length === 0);
  const { total, what } = await shifted(page);
  hold(`${name} does not jump: ${total.toFixed(3)} ${what}`, total < 0.1);
}

/** Comes in by the link of the first start, then with a password of one's own. */
async function comeIn() {
  await page.goto(`${BASE}/#link=${LINK}`);
  await page.getByLabel(/^Password/).fill(PASSWORD);
  await page.getByLabel("The same again").fill(PASSWORD);
  hold("the link has left the address", !page.url().includes(LINK));
  await button("Set password").click();
  await page.locator("#main").waitFor();
  await button("Account and appearance").click();
  await button("Sign out").click();
  await page.getByLabel("Name").fill("admin");
  await page.getByLabel("Password").fill("not the one");
  await button("Sign in").click();
  await page.getByText(/this signs nobody in/).waitFor();
  await isFit("the sign-in");
  await page.getByLabel("Password").fill(PASSWORD);
  await button("Sign in").click();
  await page.locator("#main").waitFor();
  hold("a link and a password let somebody in", true);
}

/** The row and the count turn by themselves when the agent ends, and the device's own page too. */
async function comeAndGo() {
  const state = rowOf(DEVICE).locator(".c-state");
  await state.getByText("online", { exact: true }).waitFor();
  await settled(page);
  await isFit("the fleet");
  await ask("stop the agent");
  await state.getByText("offline", { exact: true }).waitFor();
  await page.getByRole("button", { name: /^1\s*offline$/ }).waitFor();
  hold("a device turns offline before one's eyes", true);
  await page.goto(`${BASE}/devices/${DEVICE}`);
  await page.getByText(/offline for/).waitFor();
  await ask("start the agent");
  await page.getByText(/online for/).waitFor();
  hold("and online again", true);
}

async function chartMoves() {
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
  await isFit("the device");
}

/** What a program prints is there before it ends, and does nothing but stand there. */
async function order() {
  await page.goto(`${BASE}/devices/${DEVICE}/commands`);
  await page.locator("select[name=kind]").selectOption({ label: "Run a program" });
  await page.locator("input[name=program]").fill(PROGRAM);
  await button("Send").click();
  const output = page.locator(".output");
  await output.getByText(/xxxx/).waitFor();
  await page.locator(".history").getByText("running").waitFor();
  const said = await output.textContent();
  hold(`it has not ended: ${said.slice(0, 200)}`, !said.includes("last words"));
  hold("markup is text", said.includes("<script>window.hurt=1</script>"));
  hold("codes of a terminal are shown", said.includes("⟨001B⟩[31mred⟨001B⟩[0m⟨0007⟩"));
  hold("a turned direction is shown", said.includes("⟨202E⟩txt.exe"));
  await narrowEnough("a long line");
  await isFit("the console");
  await output.evaluate((element) => element.scrollTo(0, 0));
  await picture(page, "hostile-output-light-1280");
  await ask("open the gate");
  await output.getByText("last words").waitFor();
  await page.locator(".history").getByText("done", { exact: true }).waitFor();
  hold("output appears as it comes, to its end", true);
}

async function narrowEnough(name) {
  for (const width of [360, 1280]) {
    await page.setViewportSize({ width, height: 800 });
    const { wide, what } = await breadth(page);
    hold(`${name} is ${wide} px wide at ${width} ${what}`, wide <= width);
  }
}

/** Names, labels and versions that would hurt if they could. */
async function hostileWords() {
  await page.goto(`${BASE}/`);
  await rowOf(HOSTILE_DEVICE).waitFor();
  await narrowEnough("the fleet with a name of 10,000 characters");
  await picture(page, "hostile-fleet-light-1280");
  await page.goto(`${BASE}/devices/${HOSTILE_DEVICE}`);
  const name = page.locator(".device-head h1 bdi");
  await name.waitFor();
  hold("a name is text, its marks by their code", (await name.textContent()).includes("⟨202E⟩"));
  const isolated = await name.evaluate((element) => getComputedStyle(element).unicodeBidi);
  hold(`its direction is its own: ${isolated}`, isolated === "isolate");
  hold("nothing of it became an element", (await page.locator("#main script").count()) === 0);
  await narrowEnough("the device with a name of 10,000 characters");
  await isFit("the device with hostile words");
  await picture(page, "hostile-device-light-1280");
  await page.setViewportSize({ width: 360, height: 740 });
  await picture(page, "hostile-device-light-360");
  await page.setViewportSize({ width: 1280, height: 800 });
}

async function replay() {
  await page.goto(`${BASE}/dead-letters?letter=1`);
  const letter = page.locator("aside");
  await letter.getByText("<img src=x onerror=alert(1)>").first().waitFor();
  await isFit("dead letters");
  await letter.getByRole("button", { name: /^Replay/ }).click();
  await dialog.getByRole("button", { name: "Replay", exact: true }).click();
  await dialog
    .getByText(/sent again/)
    .first()
    .waitFor();
  hold("a letter is sent again", true);
}

/** What somebody changes behind the files' back is said. */
async function drift() {
  await page.goto(`${BASE}/pipeline`);
  const panel = page.getByRole("region", { name: "Files and broker" });
  await panel.getByText("agree", { exact: true }).waitFor();
  await isFit("the pipeline");
  await ask("change a stream");
  await page.reload();
  await panel.getByText("changed by hand").waitFor();
  hold("files and broker are compared", await panel.getByText("stream MONITORING").isVisible());
  await isFit("the pipeline with a difference");
}

/** Keys alone: the palette, the order of what Tab reaches, and Escape. */
async function keys() {
  await page.goto(`${BASE}/`);
  await rowOf(DEVICE).waitFor();
  await page.keyboard.press("Control+k");
  await dialog.waitFor();
  await page.keyboard.type("audit");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Audit" }).waitFor();
  hold("Ctrl-K leads to a page", page.url().endsWith("/audit"));
  await page.keyboard.press("Control+k");
  await dialog.waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  hold("Escape closes it", true);
}

/** The page says what to type, and sees that somebody did. */
async function revoke() {
  await page.goto(`${BASE}/devices/${DEVICE}/credential`);
  await button("Revoke…").click();
  await dialog.getByLabel(/^Why/).fill("stolen");
  await isFit("the dialog");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  const focused = await page.evaluate(() => document.activeElement?.textContent);
  hold(`the focus is back where it was: ${focused}`, focused === "Revoke…");
  await button("Revoke…").click();
  await dialog.getByLabel(/^Why/).fill("stolen");
  const typed = await dialog.locator(".code pre").textContent();
  hold(`it is ${typed}`, typed === `wegweiser device revoke ${DEVICE} --because stolen`);
  await dialog.locator("footer").getByRole("button", { name: "Copy command" }).click();
  await ask(typed);
  await dialog.getByText("The device is revoked.").waitFor();
  await dialog.locator("footer").getByRole("button", { name: "Close" }).click();
  await page.locator(".panel").getByText("revoked", { exact: true }).first().waitFor();
  hold("a device is revoked, and the page says so by itself", true);
}

/** Another way in, with which one tenant is all there is. */
async function withToken() {
  await button("Account and appearance").click();
  await button("Sign out").click();
  await page.getByRole("tab", { name: "API token" }).waitFor();
  await signIn(page, BASE, TOKEN);
  await rowOf(DEVICE).waitFor();
  const pages = await page.getByRole("navigation", { name: "Pages" }).textContent();
  hold("a token of one tenant sees no pipeline", !pages.includes("Pipeline"));
}

try {
  await comeIn();
  await comeAndGo();
  await chartMoves();
  await order();
  await hostileWords();
  await replay();
  await drift();
  await keys();
  await revoke();
  await withToken();
  hold("no script of theirs ran", (await page.evaluate(() => window.hurt)) === undefined);
  hold(`nothing went wrong unseen ${wrong.join("; ")}`, wrong.length === 0);
  console.log("THE END");
} catch (error) {
  console.log(page.url());
  console.log((await page.locator("body").textContent()).slice(0, 20_000));
  console.log(wrong.join("\n"));
  console.log(String(error));
  throw error;
} finally {
  noMoreErrands();
  await browser.close();
}
