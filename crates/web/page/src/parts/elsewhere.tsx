// A change that only whoever holds the signing keys can make: what will happen, why it is not made
// from here, and the command that makes it.
//
// Promises: nothing is sent from here; what was done elsewhere is noticed while this is open.

import { type Signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { Code, copy } from "./copy";
import { Dialog } from "./dialog";
import { State } from "./state";

/** How often it is looked whether it was done. */
const LOOK_EVERY_MS = 2_000;

interface Props {
  title: string;
  /** What will happen, before it does. */
  effect: string;
  command: string;
  /** What stands here once it was done; undefined: it was not. */
  done: string | undefined;
  /** Reads anew whether it was done. */
  look: () => unknown;
  close: () => void;
  /** What the command is told, such as why. */
  children?: ComponentChildren;
}

export function Elsewhere({ title, effect, command, done, look, close, children }: Props) {
  const isCopied = useSignal(false);
  const isDone = done !== undefined;
  useEffect(() => {
    if (isDone) return;
    const timer = setInterval(look, LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, [isDone, look]);
  const take = async () => {
    await copy(command, "the command");
    isCopied.value = true;
  };
  return (
    <Dialog
      title={title}
      close={close}
      footer={
        isDone ? (
          <button type="button" class="first" onClick={close}>
            Close
          </button>
        ) : (
          <>
            <button type="button" onClick={close}>
              {isCopied.value ? "Close" : "Leave it"}
            </button>
            <button type="button" class="first" onClick={take}>
              Copy command
            </button>
          </>
        )
      }
    >
      {isDone ? (
        <div role="status">
          <State tone="good">{done}</State>
        </div>
      ) : (
        <>
          <p class="effect">{effect}</p>
          {children}
          <Code text={command} label="command" />
          <p class="small soft">
            Run it where the key directory is. It has to be signed, and this service holds no key
            that could: whoever breaks into it can shut nobody out and let nobody in.
          </p>
          <p class="small quiet" role="status">
            {isCopied.value ? "Copied. " : ""}This page shows when it is done.
          </p>
        </>
      )}
    </Dialog>
  );
}

/** Why it is done; part of the command. */
export function Because({ why, such }: { why: Signal<string>; such: string }) {
  return (
    <label>
      <span>Why, for the audit log</span>
      <input
        value={why.value}
        maxLength={200}
        placeholder={such}
        onInput={(event) => {
          why.value = event.currentTarget.value;
        }}
      />
    </label>
  );
}
