// Copying, and saying that it was copied.

import { signal } from "@preact/signals";
import { CopyIcon } from "./icons";

const SHOWN_MS = 2_500;

/** What was just done, for the eye and for screen readers. */
export const said = signal("");
let timer: ReturnType<typeof setTimeout> | undefined;

export function say(text: string): void {
  said.value = text;
  clearTimeout(timer);
  timer = setTimeout(() => {
    said.value = "";
  }, SHOWN_MS);
}

export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    say(`Copied ${what}`);
  } catch {
    say(`The browser did not allow copying ${what}`);
  }
}

/** Text that is copied by a click on it. */
export function Copyable({ text, label, short }: { text: string; label: string; short?: string }) {
  return (
    <button
      type="button"
      class="copyable mono"
      title={`${text}\ncopy ${label}`}
      onClick={() => copy(text, label)}
    >
      {short ?? text}
      <CopyIcon />
    </button>
  );
}

/** A command on lines of its own, with a button that copies it. */
export function Code({ text, label }: { text: string; label: string }) {
  return (
    <div class="code">
      <pre>{text}</pre>
      <button
        type="button"
        class="plain tight"
        title={`copy ${label}`}
        onClick={() => copy(text, label)}
      >
        <CopyIcon />
        <span class="hidden">copy {label}</span>
      </button>
    </div>
  );
}

export function Said() {
  return (
    <div role="status" aria-live="polite">
      {said.value && <p class="copied">{said.value}</p>}
    </div>
  );
}
