// How many dead letters there are, for whoever shows it; fed by the live connection.

import { signal } from "@preact/signals";
import { subscribe } from "../api/live";
import type { LetterGroup } from "../api/types";

export const letterTotal = signal(0);
export const letterGroups = signal<LetterGroup[]>([]);

export function watchLetters(): () => void {
  return subscribe({
    what: "dead_letters",
    take: (total, groups) => {
      letterTotal.value = total;
      letterGroups.value = groups;
    },
  });
}
