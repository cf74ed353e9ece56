// One letter: why it is here, where it came from, and what it says.

import { useComputed, useSignal } from "@preact/signals";
import { get } from "../../api/http";
import { useResource } from "../../api/resource";
import type { LetterWhole } from "../../api/types";
import { copy } from "../../parts/copy";
import { CloseIcon } from "../../parts/icons";
import { Loaded } from "../../parts/notice";
import { SameAs } from "../../parts/same_as";
import { Ago, Foreign } from "../../parts/text";
import { may } from "../../session";
import { inertLines } from "../../text/inert";
import { bytes } from "../../text/number";
import type { Verb } from "./run";

interface Props {
  sequence: number;
  close: () => void;
  ask: (verb: Verb) => void;
}

export function LetterView({ sequence, close, ask }: Props) {
  const path = `/v1/dead-letters/${sequence}`;
  const letter = useResource((abort) => get<LetterWhole>(path, {}, abort), [sequence]);
  return (
    <section class="panel" aria-label={`Dead letter ${sequence}`}>
      <header>
        <h2>Letter {sequence}</h2>
        <div class="row">
          <SameAs command={`wegweiser dlq show ${sequence}`} request={{ method: "GET", path }} />
          <button type="button" class="plain tight" aria-label="Close" onClick={close}>
            <CloseIcon />
          </button>
        </div>
      </header>
      <div class="body stack">
        <Loaded from={letter}>
          {(told) => (
            <>
              <p>
                <b>{told.reason.replaceAll("_", " ")}.</b> <Foreign>{told.detail}</Foreign>
              </p>
              {may("operator") && (
                <div class="row">
                  <button
                    type="button"
                    class="first"
                    disabled={told.tombstone}
                    onClick={() => ask("replay")}
                  >
                    Replay…
                  </button>
                  <button type="button" class="grave" onClick={() => ask("discard")}>
                    Discard…
                  </button>
                </div>
              )}
              <Origin told={told} />
              <Payload told={told} />
              <Headers told={told} />
            </>
          )}
        </Loaded>
      </div>
    </section>
  );
}

function Origin({ told }: { told: LetterWhole }) {
  return (
    <dl class="pairs">
      <dt>Parked</dt>
      <dd>
        <Ago at={told.parked_ms} />
        {told.attempts !== null &&
          `, after ${told.attempts} ${told.attempts === 1 ? "delivery" : "deliveries"}`}
      </dd>
      <dt>From</dt>
      <dd>
        <Foreign>{told.stream}</Foreign> {told.origin_sequence ?? ""}
      </dd>
      <dt>Subject</dt>
      <dd class="mono">
        <Foreign>{told.origin_subject}</Foreign>
      </dd>
      <dt>Device</dt>
      <dd>
        {told.device === "unknown" ? (
          "unknown"
        ) : (
          <a class="mono" href={`/devices/${told.device}`}>
            {told.device}
          </a>
        )}
      </dd>
      {told.message_id && (
        <>
          <dt>Message id</dt>
          <dd class="mono">
            <Foreign>{told.message_id}</Foreign>
          </dd>
        </>
      )}
    </dl>
  );
}

function Payload({ told }: { told: LetterWhole }) {
  const isRaw = useSignal(false);
  const pretty = useComputed(() => indented(told.payload));
  const text = isRaw.value || pretty.value === undefined ? told.payload : pretty.value;
  if (told.tombstone)
    return <p class="soft">Its payload is lost: its stream had removed it before it was parked.</p>;
  return (
    <div>
      <div class="spread">
        <h3>Payload, {bytes(told.payload_bytes)}</h3>
        <div class="row">
          <button
            type="button"
            class="chip"
            aria-pressed={!isRaw.value && pretty.value !== undefined}
            disabled={pretty.value === undefined}
            title={pretty.value === undefined ? "it is no JSON" : undefined}
            onClick={() => (isRaw.value = false)}
          >
            pretty
          </button>
          <button
            type="button"
            class="chip"
            aria-pressed={isRaw.value || pretty.value === undefined}
            onClick={() => (isRaw.value = true)}
          >
            raw
          </button>
          <button type="button" class="chip" onClick={() => copy(told.payload, "payload")}>
            copy
          </button>
        </div>
      </div>
      <pre class="payload" role="region" tabIndex={0} aria-label="Payload">
        {inertLines(text)}
      </pre>
    </div>
  );
}

/** Indented JSON; undefined: it is none. */
function indented(text: string): string | undefined {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return undefined;
  }
}

function Headers({ told }: { told: LetterWhole }) {
  return (
    <details>
      <summary>Headers</summary>
      <dl class="pairs">
        {told.headers.map(([name, value], index) => (
          <HeaderPair key={index} name={name} value={value} />
        ))}
      </dl>
    </details>
  );
}

function HeaderPair({ name, value }: { name: string; value: string }) {
  return (
    <>
      <dt>
        <Foreign>{name}</Foreign>
      </dt>
      <dd class="mono">
        <Foreign>{value}</Foreign>
      </dd>
    </>
  );
}
