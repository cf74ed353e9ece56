// A dialog: the browser's own, so that focus, Escape and what lies behind it are as they should be.

import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { CloseIcon } from "./icons";

interface Props {
  title: string;
  close: () => void;
  children: ComponentChildren;
  footer?: ComponentChildren;
  broad?: boolean;
}

export function Dialog({ title, close, children, footer, broad }: Props) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={broad ? "broad" : ""}
      aria-labelledby={id}
      onClose={close}
      onClick={(event) => event.target === element.current && close()}
    >
      <header>
        <h2 id={id}>{title}</h2>
        <button type="button" class="plain tight" onClick={close} aria-label="Close">
          <CloseIcon />
        </button>
      </header>
      <div class="body stack">{children}</div>
      {footer && <footer>{footer}</footer>}
    </dialog>
  );
}
