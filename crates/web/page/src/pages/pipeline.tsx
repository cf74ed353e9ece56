// The pipeline: each stream, who reads it, how far behind, and how fast.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get } from "../api/http";
import { useResource } from "../api/resource";
import type { Consumer, Pair, Stream } from "../api/types";
import { Sparkline } from "../charts/sparkline";
import { Code } from "../parts/copy";
import { Bones, Empty, Loaded } from "../parts/notice";
import { SameAs } from "../parts/same_as";
import { BEHIND_FROM_MS } from "../parts/shell";
import { State } from "../parts/state";
import { Ago, Foreign } from "../parts/text";
import { brief, bytes, count, counted, percent } from "../text/number";
import { exact, span } from "../text/time";
import { DriftPanel } from "./drift";

const READ_EVERY_MS = 2_000;
/** Lines that stand there until the streams do. */
const STREAMS_USUALLY = 10;
/** Rates kept for the lines: four minutes. */
const KEPT_RATES = 120;
/** A stream this full is told, as a part of its limit. */
const FULL_FROM = 0.8;

interface Seen {
  at: number;
  last: number;
}

/** Messages a second of each stream, out of one answer and the one before. */
class Rates {
  readonly lines = new Map<string, Pair[]>();
  readonly #before = new Map<string, Seen>();

  take(streams: Stream[], at: number): void {
    for (const stream of streams) this.#one(stream.name, at, stream.last_sequence);
  }

  #one(name: string, at: number, last: number): void {
    const before = this.#before.get(name);
    this.#before.set(name, { at, last });
    if (!before || at <= before.at || last < before.last) return;
    const rate = (1000 * (last - before.last)) / (at - before.at);
    this.lines.set(name, [...(this.lines.get(name) ?? []), [at, rate] as Pair].slice(-KEPT_RATES));
  }
}

export function PipelinePage() {
  const read = useResource(
    (abort) => get<{ streams: Stream[] }>("/v1/streams", {}, abort),
    [],
    READ_EVERY_MS,
  );
  const rates = useSignal(new Rates());
  const readAt = read.readAt.value;
  // What stands below comes last, or it would jump.
  const isAnswered = read.data.value !== undefined || read.problem.value !== undefined;
  useEffect(() => {
    rates.value.take(read.data.peek()?.streams ?? [], readAt);
  }, [readAt, read, rates]);
  return (
    <>
      <header class="spread">
        <h1>Pipeline</h1>
        <SameAs command="wegweiser status" request={{ method: "GET", path: "/v1/streams" }} />
      </header>
      <Loaded from={read} bones={<Bones rows={STREAMS_USUALLY} />}>
        {({ streams }) =>
          streams.length === 0 ? (
            <Empty title="No streams">
              <Code text="wegweiser streams apply" label="command" />
            </Empty>
          ) : (
            <section class="panel table streams-panel">
              <Table streams={streams} rates={rates.value} />
            </section>
          )
        }
      </Loaded>
      {isAnswered && <DriftPanel />}
    </>
  );
}

function Table({ streams, rates }: { streams: Stream[]; rates: Rates }) {
  return (
    <table class="streams folds">
      <thead>
        <tr>
          <th>Stream</th>
          <th>State</th>
          <th>In a second</th>
          <th class="number">Behind by</th>
          <th class="number">Waiting</th>
          <th class="number">In hand</th>
          <th class="number">Delivered again</th>
          <th class="number">Pulls open</th>
          <th class="number">Kept</th>
          <th>Size</th>
          <th>Newest</th>
        </tr>
      </thead>
      <tbody>
        {streams.map((stream) => (
          <One key={stream.name} stream={stream} rate={rates.lines.get(stream.name) ?? []} />
        ))}
      </tbody>
    </table>
  );
}

function One({ stream, rate }: { stream: Stream; rate: Pair[] }) {
  const newest = rate.at(-1)?.[1];
  const behind = stream.behind_ms;
  const [first, ...others] = stream.consumers;
  return (
    <>
      <tr>
        <td data-label="Stream">
          <b>
            <Foreign>{stream.name}</Foreign>
          </b>
        </td>
        <td data-label="State">
          <Standing stream={stream} />
        </td>
        <td data-label="In a second">
          {newest === undefined ? "–" : brief(newest)}
          <Sparkline points={rate} width={84} />
        </td>
        <td
          data-label="Behind by"
          class={`number ${(behind ?? 0) >= BEHIND_FROM_MS ? "warn" : ""}`}
        >
          {behind === null ? "–" : behind < 1000 ? "nothing" : span(behind)}
        </td>
        <Figures consumer={first} />
        <td
          data-label="Kept"
          class="number"
          title={stream.oldest ? `oldest ${exact(stream.oldest)}` : undefined}
        >
          {count(stream.messages)}
        </td>
        <td data-label="Size">
          <Size stream={stream} />
        </td>
        <td data-label="Newest">
          <Ago at={stream.newest} none="–" />
        </td>
      </tr>
      {others.map((consumer) => (
        <tr key={consumer.name} class="sub">
          <td colSpan={4} data-label="Consumer" class="soft">
            <Foreign>{consumer.name}</Foreign>
          </td>
          <Figures consumer={consumer} />
          <td colSpan={3} />
        </tr>
      ))}
      {stream.device_consumers > 0 && (
        <tr class="sub">
          <td colSpan={11} class="soft small">
            and {counted(stream.device_consumers, "consumer")} of devices
          </td>
        </tr>
      )}
    </>
  );
}

/** What a consumer has before it and in hand. */
function Figures({ consumer }: { consumer: Consumer | undefined }) {
  if (!consumer) return <td colSpan={4} />;
  const place = `${consumer.name}: settled up to ${count(consumer.ack_floor_sequence)}`;
  return (
    <>
      <td data-label="Waiting" class="number" title={place}>
        {consumer.paused && <span class="tag warn">paused</span>} {count(consumer.pending)}
      </td>
      <td data-label="In hand" class="number">
        {count(consumer.ack_pending)}
      </td>
      <td data-label="Delivered again" class={`number ${consumer.redelivered > 0 ? "warn" : ""}`}>
        {count(consumer.redelivered)}
      </td>
      <td data-label="Pulls open" class="number">
        {count(consumer.waiting_pulls)}
      </td>
    </>
  );
}

function Size({ stream }: { stream: Stream }) {
  if (stream.max_bytes === null) return <>{bytes(stream.bytes)}</>;
  const full = stream.bytes / stream.max_bytes;
  const look = full > 0.95 ? "bad" : full > FULL_FROM ? "warn" : "";
  return (
    <span class="size" title={`${percent(100 * full)} of ${bytes(stream.max_bytes)}`}>
      {bytes(stream.bytes)}
      <span class={`meter ${look}`} aria-hidden="true">
        <i style={{ width: `${Math.min(100, 100 * full)}%` }} />
      </span>
    </span>
  );
}

/** In one word: whether it is read, and fast enough. */
function Standing({ stream }: { stream: Stream }) {
  const readers = stream.consumers.filter(
    (consumer) => consumer.waiting_pulls > 0 || consumer.ack_pending > 0,
  );
  if (stream.consumers.length === 0) return <State tone="idle">kept</State>;
  if (readers.length === 0) {
    const waits = stream.consumers.some((consumer) => consumer.pending > 0);
    return <State tone={waits ? "bad" : "idle"}>{waits ? "nobody reads it" : "idle"}</State>;
  }
  if ((stream.behind_ms ?? 0) >= BEHIND_FROM_MS) return <State tone="warn">behind</State>;
  return <State tone="good">in time</State>;
}
