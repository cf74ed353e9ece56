// Ctrl-K: to any device, page or switch by typing a part of its name.

import { signal, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { get } from "../api/http";
import { isPaused, setPaused } from "../api/live";
import type { Device, DevicePage } from "../api/types";
import { nameOf } from "../pages/fleet/select";
import { go } from "../route";
import { seesAll, signOut } from "../session";
import { inert } from "../text/inert";
import { choice } from "../theme";

export const isPaletteOpen = signal(false);

interface Entry {
  name: string;
  about: string;
  run: () => void;
}

const TYPING_PAUSE_MS = 120;
const DEVICES_SHOWN = 8;

function entries(): Entry[] {
  const page = (name: string, to: string) => ({ name, about: "page", run: () => go(to) });
  const found = [
    page("Fleet", "/"),
    page("Devices that are offline", "/?state=offline"),
    page("Dead letters", "/dead-letters"),
    page("Tenants", "/tenants"),
    page("Audit", "/audit"),
  ];
  if (seesAll.value) found.splice(3, 0, page("Pipeline", "/pipeline"));
  const look = (name: string, to: "light" | "dark" | "system") => ({
    name,
    about: "appearance",
    run: () => {
      choice.value = to;
    },
  });
  return [
    ...found,
    {
      name: isPaused.value ? "Go on live" : "Hold still",
      about: "live data",
      run: () => setPaused(!isPaused.value),
    },
    look("Light", "light"),
    look("Dark", "dark"),
    look("As the system is", "system"),
    { name: "Sign out", about: "account", run: () => void signOut() },
  ];
}

export function Palette() {
  const element = useRef<HTMLDialogElement>(null);
  const text = useSignal("");
  const devices = useSignal<Entry[]>([]);
  const picked = useSignal(0);
  const close = () => {
    isPaletteOpen.value = false;
  };
  // Before the next key: what is typed at once is typed into it.
  useLayoutEffect(() => {
    element.current?.showModal();
  }, []);
  useEffect(() => search(text.value.trim().toLowerCase(), devices), [text.value, devices]);

  const words = text.value.trim().toLowerCase();
  const pages = entries().filter((entry) => entry.name.toLowerCase().includes(words));
  const found = words === "" ? pages : [...devices.value, ...pages];
  const run = (entry: Entry | undefined) => {
    if (!entry) return;
    close();
    entry.run();
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "Enter") run(found[picked.value]);
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    picked.value = (picked.value + step + found.length) % Math.max(1, found.length);
  };

  return (
    <dialog
      ref={element}
      class="palette"
      aria-label="Go to"
      onClose={close}
      onClick={(event) => event.target === element.current && close()}
    >
      <input
        type="text"
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={found.length > 0 ? `palette-${picked.value}` : undefined}
        aria-label="Device, host, label or page"
        placeholder="Device, host, label or page"
        autocomplete="off"
        spellcheck={false}
        value={text.value}
        onInput={(event) => {
          text.value = event.currentTarget.value;
          picked.value = 0;
        }}
        onKeyDown={onKey}
      />
      <div role="listbox" id="palette-list" aria-label="Found" tabIndex={-1}>
        {found.map((entry, index) => (
          <div
            key={entry.name + entry.about}
            id={`palette-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === picked.value}
            onClick={() => run(entry)}
            onPointerMove={() => {
              picked.value = index;
            }}
          >
            <span class="cut">
              <bdi>{entry.name}</bdi>
            </span>
            <span class="quiet small nowrap">{entry.about}</span>
          </div>
        ))}
        {found.length === 0 && <p class="quiet">Nothing of that name</p>}
      </div>
    </dialog>
  );
}

/** Asks for devices once typing rests. */
function search(text: string, devices: { value: Entry[] }): () => void {
  const abort = new AbortController();
  if (text === "") {
    devices.value = [];
    return () => {};
  }
  const timer = setTimeout(async () => {
    try {
      const query = { text: text.slice(0, 100), limit: DEVICES_SHOWN, sort: "name" };
      const page = await get<DevicePage>("/v1/devices", query, abort.signal);
      // Labels and versions fit, too, but a name is what most people type.
      const isNamed = (device: Device) => Number(nameOf(device).toLowerCase().includes(text));
      const byName = page.devices.sort((a, b) => isNamed(b) - isNamed(a));
      devices.value = byName.map((device) => ({
        name: inert(nameOf(device)),
        about: `${device.online ? "online" : "offline"} · ${inert(device.tenant_name ?? "")} · ${device.device.slice(-6)}`,
        run: () => go(`/devices/${device.device}`),
      }));
    } catch {
      // The notice above the page says what is wrong.
    }
  }, TYPING_PAUSE_MS);
  return () => {
    clearTimeout(timer);
    abort.abort();
  };
}
