// A button that opens a short list of further ones.

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

interface Props {
  label: ComponentChildren;
  name: string;
  look?: string;
  children: ComponentChildren;
}

export function Menu({ label, name, look = "plain", children }: Props) {
  const isOpen = useSignal(false);
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!isOpen.value) return;
    place.current?.querySelector<HTMLElement>(".items button, .items a")?.focus();
    const away = (event: Event) => {
      if (!place.current?.contains(event.target as Node)) isOpen.value = false;
    };
    document.addEventListener("pointerdown", away);
    return () => document.removeEventListener("pointerdown", away);
  }, [isOpen.value]);

  const onKey = (event: KeyboardEvent) => {
    if (!isOpen.value) return;
    if (event.key === "Escape") {
      event.stopPropagation();
      isOpen.value = false;
      place.current?.querySelector("button")?.focus();
    }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    const items = [
      ...(place.current?.querySelectorAll<HTMLElement>(".items button, .items a") ?? []),
    ];
    const index = items.indexOf(document.activeElement as HTMLElement);
    const next = index + (event.key === "ArrowDown" ? 1 : -1);
    items[(next + items.length) % items.length]?.focus();
  };

  return (
    <div class="menu" ref={place} onKeyDown={onKey}>
      <button
        type="button"
        class={look}
        aria-expanded={isOpen.value}
        aria-label={name}
        onClick={() => {
          isOpen.value = !isOpen.value;
        }}
      >
        {label}
      </button>
      {isOpen.value && (
        <div
          class="items"
          onClick={() => {
            isOpen.value = false;
          }}
        >
          {children}
        </div>
      )}
    </div>
  );
}
