// Chromium as the tests and the pictures start it: headless, without a sandbox (they may run as
// root), with a new profile, and with nothing of its own going out.
//
// CHROMIUM is the program; its libraries are in the environment already.

import { chromium } from "playwright-core";

export const start = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM,
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
