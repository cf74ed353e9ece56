// The bar on top, and what must be said across all pages.

import { useEffect } from "preact/hooks";
import { isReachable } from "../api/http";
import { behindMs, isPaused, lastFrameAt, liveState, retryNow, setPaused } from "../api/live";
import { path } from "../route";
import { seesAll, session, signOut } from "../session";
import { count } from "../text/number";
import { now, short, span } from "../text/time";
import { choice } from "../theme";
import { useCurrentInView } from "./current_in_view";
import { Mark, PersonIcon, SearchIcon } from "./icons";
import { letterTotal, watchLetters } from "./letter_total";
import { Menu } from "./menu";
import { isPaletteOpen } from "./palette";
import { Foreign } from "./text";

/** From this on the data is old enough to say so. */
export const BEHIND_FROM_MS = 5_000;

interface Place {
  to: string;
  name: string;
  first: string[];
  forAllTenants?: boolean;
}

const PLACES: Place[] = [
  { to: "/", name: "Fleet", first: ["", "devices"] },
  { to: "/dead-letters", name: "Dead letters", first: ["dead-letters"] },
  { to: "/pipeline", name: "Pipeline", first: ["pipeline"], forAllTenants: true },
  { to: "/tenants", name: "Tenants", first: ["tenants"] },
  { to: "/audit", name: "Audit", first: ["audit"] },
];

export function Bar() {
  const first = path.value.split("/")[1] ?? "";
  // The count of letters comes later, and makes the row wider.
  const links = useCurrentInView(`${first} ${letterTotal.value}`);
  useEffect(watchLetters, []);
  return (
    <header class="bar">
      <a class="brand" href="/">
        <Mark />
        Wegweiser
      </a>
      <nav aria-label="Pages" ref={links}>
        {PLACES.filter((place) => !place.forAllTenants || seesAll.value).map(
          ({ to, name, first: own }) => (
            <a key={to} href={to} aria-current={own.includes(first) ? "page" : undefined}>
              {name}
              {to === "/dead-letters" && letterTotal.value > 0 && (
                <span class="tag warn">{count(letterTotal.value)}</span>
              )}
            </a>
          ),
        )}
      </nav>
      <div class="tools">
        <button
          type="button"
          class="plain"
          aria-label="Search devices and pages, Ctrl K"
          onClick={() => {
            isPaletteOpen.value = true;
          }}
        >
          <SearchIcon />
          <kbd class="wide">Ctrl K</kbd>
        </button>
        <Pulse />
        <Account />
      </div>
    </header>
  );
}

const PULSE: Record<string, [string, string]> = {
  live: ["Live", "Data comes as it happens. Click to hold it still (key P)."],
  connecting: ["Connecting", "Waiting for the service."],
  paused: ["Paused", "Held still. Click to go on (key P)."],
  offline: ["Cut off", "No live data. Click to try at once."],
};

function Pulse() {
  const state = liveState.value;
  const [word, meaning] = PULSE[state] ?? ["", ""];
  return (
    <button
      type="button"
      class="pulse"
      data-state={state}
      title={meaning}
      aria-label={`${word}. ${meaning}`}
      onClick={() => (state === "offline" ? retryNow() : setPaused(!isPaused.value))}
    >
      <span class="dot" />
      <span>{word}</span>
    </button>
  );
}

function Account() {
  const who = session.value;
  if (!who) return null;
  return (
    <Menu name="Account and appearance" label={<PersonIcon />}>
      <p class="about">
        <b>
          <Foreign>{who.name}</Foreign>
        </b>
        <br />
        <span class="soft">
          {who.role} of {who.tenant === null ? "all tenants" : "one tenant"}, for{" "}
          {short(who.expires_at - now.value)}
        </span>
      </p>
      {(["system", "light", "dark"] as const).map((name) => (
        <button
          key={name}
          type="button"
          aria-pressed={choice.value === name}
          onClick={() => {
            choice.value = name;
          }}
        >
          {choice.value === name ? "● " : "○ "}
          {name === "system" ? "As the system is" : name === "light" ? "Light" : "Dark"}
        </button>
      ))}
      <a href="/v1/openapi.json">API description</a>
      <button type="button" onClick={() => signOut()}>
        Sign out
      </button>
    </Menu>
  );
}

/** Old data says that it is old, wherever it is looked at. */
export function Notices() {
  return (
    <div class="notices" role="status">
      <Connection />
      <Behind />
    </div>
  );
}

function Connection() {
  if (isReachable.value && liveState.value !== "offline") return null;
  const since = lastFrameAt.value;
  return (
    <p class="notice bad">
      <span>
        <b>No connection to the service.</b>{" "}
        {since > 0 ? `What you see is from ${short(now.value - since)} ago.` : "Nothing came yet."}{" "}
        It is tried again by itself.
      </span>
      <button type="button" class="tight" onClick={() => retryNow()}>
        Try now
      </button>
    </p>
  );
}

function Behind() {
  const behind = behindMs.value;
  if (!behind) return null;
  const late = Object.entries(behind).filter(([, ms]) => ms >= BEHIND_FROM_MS);
  if (late.length === 0) return null;
  const words = late.map(([stream, ms]) => `${stream.toLowerCase()} by ${span(ms)}`).join(", ");
  return (
    <p class="notice">
      <span>
        <b>The pipeline is behind:</b> {words}. Devices are not offline because of it; their newest
        data is on its way.
      </span>
    </p>
  );
}
