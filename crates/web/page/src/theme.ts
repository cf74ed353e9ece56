// Light or dark: the system's choice, or the person's.

import { effect, signal } from "@preact/signals";

export type Choice = "system" | "light" | "dark";

const KEY = "theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function stored(): Choice {
  const told = document.documentElement.dataset.theme;
  return told === "light" || told === "dark" ? told : "system";
}

export const choice = signal<Choice>(stored());
/** Changes when what is on screen changes its colours: charts are drawn anew. */
export const isDark = signal(false);

/** Follows choice and system from now on. */
export function startTheme(): void {
  effect(() => {
    const chosen = choice.value;
    if (chosen === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    isDark.value = chosen === "dark" || (chosen === "system" && system.matches);
    try {
      if (chosen === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, chosen);
    } catch {
      // Storage is closed to us: the choice holds until the page is left.
    }
  });
  system.addEventListener("change", () => {
    if (choice.value === "system") isDark.value = system.matches;
  });
}

/** The colour that a custom property stands for right now, for what is drawn on a canvas. */
export function colour(name: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
