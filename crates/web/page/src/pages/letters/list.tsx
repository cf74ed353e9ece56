// Letters within a filter: over time, as a table that can be picked from, and the open one beside it.

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { Parameters } from "../../api/http";
import type { Letter } from "../../api/types";
import { Bones, Empty, Failed } from "../../parts/notice";
import { Ago, Foreign, ShortId } from "../../parts/text";
import { query, setQuery } from "../../route";
import { may } from "../../session";
import { count, counted } from "../../text/number";
import { clock } from "../../text/time";
import { Change } from "./change";
import { LetterView } from "./letter_view";
import type { Verb } from "./run";
import { LetterStore, overTime } from "./store";

const SLOTS = 60;
/** Rows that are drawn; picking takes in all that were read. */
const ROWS_SHOWN = 400;

interface Props {
  filter: Parameters;
  /** Only those parked within this time before now; 0: all. */
  lengthMs: number;
  /** Read anew when it changes. */
  total: number;
}

export function LetterList({ filter, lengthMs, total }: Props) {
  const key = JSON.stringify([filter, lengthMs]);
  const store = useMemo(
    () => new LetterStore({ ...filter, since: lengthMs === 0 ? undefined : Date.now() - lengthMs }),
    [key],
  );
  const picked = useSignal<ReadonlySet<number>>(new Set());
  const asked = useSignal<{ verb: Verb; sequences: number[] } | undefined>(undefined);
  const newestFirst = useComputed(() =>
    [...store.letters.value].sort((a, b) => b.sequence - a.sequence),
  );
  useEffect(() => {
    const abort = new AbortController();
    void store.load(abort.signal);
    return () => abort.abort();
  }, [store, total]);
  const open = Number(query.value.get("letter")) || undefined;

  if (store.problem.value)
    return (
      <Failed
        problem={store.problem.value}
        retry={() => store.load(new AbortController().signal)}
      />
    );
  if (!store.isRead.value) return <Bones />;
  if (store.letters.value.length === 0) {
    return <Empty title="None">Every message of this kind could be applied.</Empty>;
  }
  return (
    <div class={open ? "split" : ""}>
      <div class="stack">
        <OverTime letters={store.letters.value} />
        <section class="panel">
          <Actions
            store={store}
            picked={picked}
            ask={(verb, sequences) => (asked.value = { verb, sequences })}
          />
          <Table letters={newestFirst.value.slice(0, ROWS_SHOWN)} picked={picked} open={open} />
          <Beyond store={store} />
        </section>
      </div>
      {open && (
        <aside>
          <LetterView
            key={open}
            sequence={open}
            close={() => setQuery({ letter: undefined })}
            ask={(verb) => (asked.value = { verb, sequences: [open] })}
          />
        </aside>
      )}
      {asked.value && (
        <Change
          verb={asked.value.verb}
          sequences={asked.value.sequences}
          close={(gone) => {
            asked.value = undefined;
            store.drop(gone);
            picked.value = new Set([...picked.value].filter((sequence) => !gone.has(sequence)));
            if (open && gone.has(open)) setQuery({ letter: undefined });
          }}
        />
      )}
    </div>
  );
}

function OverTime({ letters }: { letters: readonly Letter[] }) {
  const slots = overTime(letters, SLOTS);
  const most = Math.max(...slots.map((slot) => slot.letters), 1);
  const first = slots[0];
  const last = slots.at(-1);
  if (!first || !last || letters.length < 2) return null;
  return (
    <div>
      <div
        class="histogram"
        role="img"
        aria-label={`${counted(letters.length, "letter")} since ${clock(first.from)}`}
      >
        {slots.map((slot) => (
          <span key={slot.from} title={`${clock(slot.from)}: ${counted(slot.letters, "letter")}`}>
            {slot.letters > 0 && <i style={{ height: `${(100 * slot.letters) / most}%` }} />}
          </span>
        ))}
      </div>
      <div class="strip-scale">
        <span>{clock(first.from)}</span>
        <span>{clock(last.from)}</span>
      </div>
    </div>
  );
}

interface ActionsProps {
  store: LetterStore;
  picked: { value: ReadonlySet<number> };
  ask: (verb: Verb, sequences: number[]) => void;
}

function Actions({ store, picked, ask }: ActionsProps) {
  const all = store.letters.value;
  const size = picked.value.size;
  const sequences = () => [...picked.value].sort((a, b) => a - b);
  return (
    <header>
      <label class="row">
        <input
          type="checkbox"
          aria-label="Pick all"
          checked={size > 0 && size === all.length}
          ref={(box) => {
            if (box) box.indeterminate = size > 0 && size < all.length;
          }}
          onChange={(event) => {
            picked.value = new Set(
              event.currentTarget.checked ? all.map((letter) => letter.sequence) : [],
            );
          }}
        />
        <span class="soft">
          {size > 0
            ? `${count(size)} of ${count(all.length)} picked`
            : counted(all.length, "letter")}
        </span>
      </label>
      {may("operator") && (
        <div class="row">
          <button type="button" disabled={size === 0} onClick={() => ask("replay", sequences())}>
            Replay{size > 0 ? ` ${count(size)}` : ""}…
          </button>
          <button
            type="button"
            class="grave"
            disabled={size === 0}
            onClick={() => ask("discard", sequences())}
          >
            Discard{size > 0 ? ` ${count(size)}` : ""}…
          </button>
        </div>
      )}
    </header>
  );
}

interface TableProps {
  letters: readonly Letter[];
  picked: { value: ReadonlySet<number> };
  open: number | undefined;
}

function Table({ letters, picked, open }: TableProps) {
  const toggle = (sequence: number) => {
    const changed = new Set(picked.value);
    if (!changed.delete(sequence)) changed.add(sequence);
    picked.value = changed;
  };
  return (
    <div class="table">
      <table class="folds">
        <thead>
          <tr>
            <th class="check">
              <span class="hidden">Picked</span>
            </th>
            <th>Parked</th>
            <th>Reason</th>
            <th>Stream</th>
            <th>Device</th>
            <th>Detail</th>
          </tr>
        </thead>
        <tbody>
          {letters.map((letter) => (
            <tr
              key={letter.sequence}
              class={`picks ${letter.sequence === open ? "picked" : ""}`}
              onClick={(event) => {
                const isPlain = !(event.target as Element).closest("a, button, input");
                if (isPlain) setQuery({ letter: String(letter.sequence) });
              }}
            >
              <td data-label="" class="check">
                <input
                  type="checkbox"
                  aria-label={`Pick letter ${letter.sequence}`}
                  checked={picked.value.has(letter.sequence)}
                  onChange={() => toggle(letter.sequence)}
                />
              </td>
              <td data-label="Parked" class="nowrap">
                <button
                  type="button"
                  class="link"
                  onClick={() => setQuery({ letter: String(letter.sequence) })}
                >
                  <Ago at={letter.parked_ms} />
                </button>
              </td>
              <td data-label="Reason" class="nowrap">
                <Foreign>{letter.reason.replaceAll("_", " ")}</Foreign>
              </td>
              <td data-label="Stream" class="small soft">
                <Foreign>{letter.stream}</Foreign>
              </td>
              <td data-label="Device">
                {letter.device === "unknown" ? (
                  <span class="quiet">unknown</span>
                ) : (
                  <a href={`/devices/${letter.device}`}>
                    <ShortId id={letter.device} />
                  </a>
                )}
              </td>
              <td data-label="Detail" class="small soft detail">
                <Foreign>{letter.detail}</Foreign>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Beyond({ store }: { store: LetterStore }) {
  const isMore = store.next.value !== undefined;
  const hidden = store.letters.value.length - ROWS_SHOWN;
  if (!isMore && hidden <= 0) return null;
  return (
    <div class="more row">
      <span class="small soft">
        {hidden > 0 && `${count(hidden)} older ones are picked with the others but not drawn. `}
        {isMore && "There are newer ones than were read."}
      </span>
      {isMore && (
        <button
          type="button"
          class="tight"
          onClick={() => store.more(new AbortController().signal)}
        >
          Read on
        </button>
      )}
    </div>
  );
}
