// What is shown: sign-in, or the frame with the page that the address names.

import { useEffect } from "preact/hooks";
import { isPaused, setPaused } from "./api/live";
import { AuditPage } from "./pages/audit";
import { DevicePage } from "./pages/device/device";
import { FleetPage } from "./pages/fleet/fleet";
import { LettersPage } from "./pages/letters/letters";
import { PipelinePage } from "./pages/pipeline";
import { NewPassword, SignInPage, Unreachable } from "./pages/sign_in";
import { TenantPage, TenantsPage } from "./pages/tenants";
import { Said } from "./parts/copy";
import { Empty } from "./parts/notice";
import { isPaletteOpen, Palette } from "./parts/palette";
import { Bar, Notices } from "./parts/shell";
import { path } from "./route";
import { session, sessionProblem } from "./session";

export function App() {
  return (
    <>
      <Body />
      <Said />
    </>
  );
}

function Body() {
  const who = session.value;
  if (who === undefined)
    return sessionProblem.value ? <Unreachable problem={sessionProblem.value} /> : null;
  if (who === null) return <SignInPage />;
  if (who.needs_password) return <NewPassword />;
  return <Frame />;
}

function Frame() {
  useEffect(() => {
    document.addEventListener("keydown", shortcut);
    return () => document.removeEventListener("keydown", shortcut);
  }, []);
  return (
    <>
      <a class="skip" href="#main">
        To the content
      </a>
      <Bar />
      <Notices />
      <main id="main" class="page">
        <Page />
      </main>
      {isPaletteOpen.value && <Palette />}
    </>
  );
}

function shortcut(event: KeyboardEvent): void {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    isPaletteOpen.value = !isPaletteOpen.value;
    return;
  }
  const isTyping = (event.target as Element).closest("input, textarea, select, dialog");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    const field = document.querySelector<HTMLInputElement>("input[type=search]");
    if (field) {
      event.preventDefault();
      field.focus();
    }
  }
  if (event.key === "p") setPaused(!isPaused.value);
}

/** Name of the page for the window's title, and the page. */
function Page() {
  const parts = path.value.split("/").filter((part) => part !== "");
  const [first, second, third] = parts;
  useEffect(() => {
    const name = first === "devices" || first === undefined ? "Fleet" : first.replaceAll("-", " ");
    document.title = `${name.charAt(0).toUpperCase()}${name.slice(1)} · Wegweiser`;
  }, [first]);
  switch (first) {
    case undefined:
      return <FleetPage />;
    case "devices":
      if (second) return <DevicePage key={second} device={second} tab={third ?? "live"} />;
      return <FleetPage />;
    case "dead-letters":
      return <LettersPage />;
    case "pipeline":
      return <PipelinePage />;
    case "tenants":
      return second ? <TenantPage key={second} tenant={second} /> : <TenantsPage />;
    case "audit":
      return <AuditPage />;
    default:
      return (
        <Empty title="There is no such page">
          <a href="/">To the fleet</a>
        </Empty>
      );
  }
}
