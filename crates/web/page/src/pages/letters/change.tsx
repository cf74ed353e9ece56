// The dialog before and while letters are replayed or discarded: what will happen, then what did.

import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { Dialog } from "../../parts/dialog";
import { quoted, SameAs } from "../../parts/same_as";
import { Foreign } from "../../parts/text";
import { count, counted } from "../../text/number";
import { span } from "../../text/time";
import { Run, type Verb } from "./run";

/** Letters whose outcome is asked for beforehand; a larger number is told from these. */
const ASKED_BEFORE = 200;

interface Props {
  verb: Verb;
  sequences: readonly number[];
  close: (gone: ReadonlySet<number>) => void;
}

export function Change({ verb, sequences, close }: Props) {
  const because = useSignal("");
  const rate = useSignal("");
  const run = useSignal<Run | undefined>(undefined);
  const title = `${verb === "replay" ? "Replay" : "Discard"} ${counted(sequences.length, "letter")}`;
  const start = () => {
    const started = new Run(verb, sequences, {
      dryRun: false,
      because: because.value.trim(),
      perSecond: Number(rate.value) || undefined,
    });
    run.value = started;
    void started.start();
  };
  const leave = () => {
    run.value?.stop();
    close(run.value?.gone ?? new Set());
  };
  const isOver = run.value !== undefined && !run.value.isRunning.value;
  return (
    <Dialog
      title={title}
      close={leave}
      footer={
        run.value ? (
          <button type="button" class={isOver ? "first" : ""} onClick={leave}>
            {isOver ? "Close" : "Stop"}
          </button>
        ) : (
          <Footer verb={verb} sequences={sequences} because={because} start={start} leave={leave} />
        )
      }
    >
      {run.value ? (
        <Progress run={run.value} />
      ) : (
        <>
          <Before verb={verb} sequences={sequences} because={because} />
          {sequences.length > 1 && <Rate rate={rate} letters={sequences.length} />}
        </>
      )}
    </Dialog>
  );
}

const RATES = ["1", "10", "50"];

/** So that whoever takes the letters is not flooded. */
function Rate({ rate, letters }: { rate: Signal<string>; letters: number }) {
  const perSecond = Number(rate.value);
  return (
    <label>
      <span>How fast</span>
      <select value={rate.value} onChange={(event) => (rate.value = event.currentTarget.value)}>
        <option value="">up to 100 a second</option>
        {RATES.map((number) => (
          <option key={number} value={number}>
            {number} a second
          </option>
        ))}
      </select>
      {perSecond > 0 && (
        <span class="small quiet">about {span((1000 * letters) / perSecond)} in all</span>
      )}
    </label>
  );
}

interface FooterProps {
  verb: Verb;
  sequences: readonly number[];
  because: Signal<string>;
  start: () => void;
  leave: () => void;
}

function Footer({ verb, sequences, because, start, leave }: FooterProps) {
  const words = verb === "discard" ? ` --because ${quoted(because.value || "…")}` : "";
  const query = verb === "discard" ? { because: because.value } : {};
  return (
    <>
      <SameAs
        command={`wegweiser dlq ${verb} ${sequences.slice(0, 100).join(" ")}${words}`}
        request={{ method: "POST", path: `/v1/dead-letters/${sequences[0]}/${verb}`, query }}
      />
      <button type="button" onClick={leave}>
        Leave them
      </button>
      <button
        type="button"
        class={verb === "discard" ? "first grave" : "first"}
        disabled={verb === "discard" && because.value.trim() === ""}
        onClick={start}
      >
        {verb === "replay" ? "Replay" : "Discard"}
      </button>
    </>
  );
}

function Before({
  verb,
  sequences,
  because,
}: {
  verb: Verb;
  sequences: readonly number[];
  because: Signal<string>;
}) {
  if (verb === "replay") return <Foresight sequences={sequences} />;
  return (
    <>
      <p class="effect">
        {sequences.length === 1
          ? "The letter and its payload are"
          : "The letters and their payloads are"}{" "}
        removed for good. Who did it and why stays in the audit log.
      </p>
      <label>
        <span>Why</span>
        <input
          required
          value={because.value}
          maxLength={300}
          placeholder="agent 0.9 sent these; replaced"
          onInput={(event) => {
            because.value = event.currentTarget.value;
          }}
        />
      </label>
    </>
  );
}

/** Asks the service what would happen, and changes nothing. */
function Foresight({ sequences }: { sequences: readonly number[] }) {
  const asked = useMemo(
    () => new Run("replay", sequences.slice(0, ASKED_BEFORE), { dryRun: true }),
    [sequences],
  );
  useEffect(() => {
    void asked.start();
    return () => asked.stop();
  }, [asked]);
  const total = asked.sequences.length;
  return (
    <>
      <p>
        Each is sent again under its own id, so that what had its effect already has none a second
        time. A letter goes only after its stream has the message.
      </p>
      <div class="effect" aria-live="polite">
        <span class="small soft">
          {asked.isRunning.value
            ? `What would happen: asked for ${count(asked.done.value)} of ${count(total)}`
            : sequences.length > total
              ? `What would happen, asked for the first ${count(total)}`
              : "What would happen"}
        </span>
        <Outcomes counts={asked.outcomes.value} />
      </div>
    </>
  );
}

function Progress({ run }: { run: Run }) {
  const total = run.sequences.length;
  return (
    <div class="effect" aria-live="polite">
      <span class="meter">
        <i style={{ width: `${(100 * run.done.value) / total}%` }} />
      </span>
      <span class="small soft">
        {count(run.done.value)} of {count(total)}
      </span>
      <Outcomes counts={run.outcomes.value} />
    </div>
  );
}

function Outcomes({ counts }: { counts: ReadonlyMap<string, number> }) {
  if (counts.size === 0) return <p class="quiet">…</p>;
  return (
    <ul>
      {[...counts].map(([outcome, letters]) => (
        <li key={outcome}>
          <b>{count(letters)}</b> <Foreign>{outcome}</Foreign>
        </li>
      ))}
    </ul>
  );
}
