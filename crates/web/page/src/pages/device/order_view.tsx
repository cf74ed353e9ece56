// One command from its writing down to its end, with its output as it comes.

import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { cancelOrder, isFinal, type OrderWhole, showOrder, type Taken } from "../../api/commands";
import type { Problem } from "../../api/http";
import { type CommandEvent, subscribe } from "../../api/live";
import { asProblem, useResource } from "../../api/resource";
import { Copyable, say } from "../../parts/copy";
import { Failed, Loaded } from "../../parts/notice";
import { SameAs } from "../../parts/same_as";
import { Foreign } from "../../parts/text";
import { inertLines } from "../../text/inert";
import { clock, exact, span } from "../../text/time";
import { inWords } from "./kinds";
import { OrderState } from "./order_state";

/** What is pushed may be ahead of the records: they are asked again. */
const READ_EVERY_MS = 2_000;

/** What became of taking a command back. */
const TAKEN: Record<Taken["outcome"], string> = {
  cancelled: "Taken back: its device never gets it",
  asked: "Its device is told to end it",
  ended_before: "It had ended before",
  cannot_be_reached: "A device of the first generation cannot be told",
};

interface Props {
  command: string;
  device: string;
  mayCancel: boolean;
  changed: () => unknown;
}

export function OrderView({ command, device, mayCancel, changed }: Props) {
  const order = useResource((abort) => showOrder(command, abort), [command], READ_EVERY_MS);
  const events = useSignal<ReadonlyMap<number, CommandEvent>>(new Map());
  useEffect(() => {
    return subscribe({
      what: "command",
      device,
      command,
      take: (event) => {
        events.value = new Map(events.peek()).set(event.number, event);
        if (event.event === "output") return;
        void order.refresh();
        void changed();
      },
    });
  }, [command, device, events, order, changed]);
  return (
    <section class="panel">
      <Loaded from={order}>
        {(told) => (
          <>
            <Head
              told={told}
              mayCancel={mayCancel}
              changed={() => Promise.all([order.refresh(), changed()])}
            />
            <div class="body stack">
              <Steps told={told} />
              <Output told={told} events={events.value} />
            </div>
          </>
        )}
      </Loaded>
    </section>
  );
}

function Head({
  told,
  mayCancel,
  changed,
}: {
  told: OrderWhole;
  mayCancel: boolean;
  changed: () => unknown;
}) {
  const problem = useSignal<Problem | undefined>(undefined);
  const cancel = async () => {
    try {
      const { outcome } = await cancelOrder(told.command);
      say(TAKEN[outcome]);
      problem.value = undefined;
      changed();
    } catch (error) {
      problem.value = asProblem(error);
    }
  };
  return (
    <>
      <header>
        <div class="row">
          <h2>{told.kind}</h2>
          <OrderState state={told.state} />
        </div>
        <div class="row">
          <Copyable text={told.command} label="command id" short={`${told.command.slice(0, 8)}…`} />
          {!isFinal(told.state) && mayCancel && (
            <button type="button" class="tight grave" onClick={cancel}>
              Cancel
            </button>
          )}
          <SameAs
            command={`wegweiser command show ${told.command}`}
            request={{ method: "GET", path: `/v1/commands/${told.command}` }}
          />
        </div>
      </header>
      {problem.value && <Failed problem={problem.value} />}
      {Object.keys(told.arguments).length > 0 && (
        <p class="body mono">
          <Foreign>{inWords(told.arguments)}</Foreign>
        </p>
      )}
    </>
  );
}

/** When it was where, and how long each took. */
function Steps({ told }: { told: OrderWhole }) {
  const steps: [string, number][] = [["ordered", told.created_at]];
  if (told.published_at !== null) steps.push(["sent", told.published_at]);
  for (const { state, at } of told.transitions) {
    if (state !== "queued") steps.push([state.replaceAll("_", " "), at]);
  }
  return (
    <ol class="steps">
      {steps.map(([word, at], index) => {
        const before = steps[index - 1]?.[1];
        return (
          <li key={word}>
            <span class="soft">{word}</span>
            <time title={exact(at)}>
              {before === undefined ? clock(at) : `+${span(Math.max(0, at - before))}`}
            </time>
          </li>
        );
      })}
    </ol>
  );
}

function Output({ told, events }: { told: OrderWhole; events: ReadonlyMap<number, CommandEvent> }) {
  const place = useRef<HTMLPreElement>(null);
  const isAtEnd = useRef(true);
  const sorted = [...events.values()].sort((a, b) => a.number - b.number);
  const chunks = sorted.filter((event) => event.event === "output");
  const end = sorted.find((event) => event.event === "finished");
  const code = told.reason_code ?? end?.reason?.code;
  const words = told.reason_text ?? end?.reason?.text ?? "";
  const result = told.result ?? end?.result;
  // Follows the end while the reader is there, and stays where he has scrolled to.
  useLayoutEffect(() => {
    if (isAtEnd.current) place.current?.scrollTo(0, place.current.scrollHeight);
  }, [chunks.length]);
  return (
    <>
      {code && (
        <div class="failed">
          <b>{code.replaceAll("_", " ")}</b> <Foreign>{words}</Foreign>
          {told.assumed && " Assumed by the service's clock; the device's own word may still come."}
        </div>
      )}
      <pre
        ref={place}
        class="output"
        role="log"
        tabIndex={0}
        aria-label="Output"
        aria-live="polite"
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          isAtEnd.current = scrollHeight - scrollTop - clientHeight < 24;
        }}
      >
        {chunks.map((event) => (
          <span key={event.number} class={event.stream ?? "stdout"}>
            {inertLines(event.chunk ?? "")}
            {event.cut && <span class="end">{"\n… more was printed than is kept\n"}</span>}
          </span>
        ))}
        {told.answers_cut && (
          <span class="end">{"\n… its device answered more than is kept\n"}</span>
        )}
        <Result result={result} hasOutput={chunks.length > 0} />
        {!isFinal(told.state) && chunks.length === 0 && (
          <span class="end">waiting for the device</span>
        )}
      </pre>
    </>
  );
}

/** How a program ended. */
function ending(result: Record<string, unknown>): string {
  const how =
    typeof result.signal === "number"
      ? `ended by signal ${result.signal}`
      : `ended with exit code ${result.exit_code}`;
  return result.cut === true ? `${how}; more was printed than is kept` : how;
}

/** The answer, unless it only repeats what was streamed. */
function Result({ result, hasOutput }: { result: unknown; hasOutput: boolean }) {
  if (result === null || result === undefined) return null;
  if (typeof result !== "object") return <>{inertLines(String(result))}</>;
  const { stdout, stderr, ...rest } = result as Record<string, unknown>;
  return (
    <>
      {!hasOutput && typeof stdout === "string" && inertLines(stdout)}
      {!hasOutput && typeof stderr === "string" && <span class="stderr">{inertLines(stderr)}</span>}
      {typeof rest.exit_code === "number" || typeof rest.signal === "number" ? (
        <span class="end">{`\n${ending(rest)}`}</span>
      ) : (
        Object.keys(rest).length > 0 && (
          <span class="end">{`\n${inertLines(JSON.stringify(rest, null, 2))}`}</span>
        )
      )}
    </>
  );
}
