// Who changed what, when, and what came of it; newest first.

import { computed, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { get, type Problem } from "../api/http";
import { asProblem } from "../api/resource";
import type { AuditEntry } from "../api/types";
import { Bones, Empty, Failed } from "../parts/notice";
import { SameAs } from "../parts/same_as";
import { State, type Tone } from "../parts/state";
import { Foreign } from "../parts/text";
import { query, setQuery } from "../route";
import { inertLines } from "../text/inert";
import { clock, exact } from "../text/time";

interface Page {
  entries: AuditEntry[];
  next: number | null;
}

const PAGE = 100;
const TYPING_PAUSE_MS = 250;
const filter = computed(() => ({
  action: query.value.get("action") ?? "",
  tenant: query.value.get("tenant") ?? "",
  device: query.value.get("device") ?? "",
}));

export function AuditPage() {
  const entries = useSignal<AuditEntry[] | undefined>(undefined);
  const next = useSignal<number | null>(null);
  const problem = useSignal<Problem | undefined>(undefined);
  const asked = filter.value;
  const key = JSON.stringify(asked);
  const read = useMemo(
    () => async (before: number | undefined, abort: AbortSignal) => {
      try {
        const page = await get<Page>("/v1/audit", { ...asked, before, limit: PAGE }, abort);
        entries.value =
          before === undefined ? page.entries : [...(entries.peek() ?? []), ...page.entries];
        next.value = page.next;
        problem.value = undefined;
      } catch (error) {
        if (!abort.aborted) problem.value = asProblem(error);
      }
    },
    [key],
  );
  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(
      () => read(undefined, abort.signal),
      entries.peek() ? TYPING_PAUSE_MS : 0,
    );
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [read, entries]);

  return (
    <>
      <header class="spread">
        <h1>Audit</h1>
        <SameAs
          command={`wegweiser audit${asked.action ? ` --action "${asked.action}"` : ""}`}
          request={{ method: "GET", path: "/v1/audit", query: { ...asked, limit: PAGE } }}
        />
      </header>
      <div class="filters" role="search">
        <label class="find plain">
          <span class="hidden">Actions that begin so</span>
          <input
            type="search"
            placeholder="Action begins so, such as device revoke"
            spellcheck={false}
            value={asked.action}
            onInput={(event) => setQuery({ action: event.currentTarget.value })}
          />
        </label>
        {(["tenant", "device"] as const).map(
          (name) =>
            asked[name] && (
              <button
                key={name}
                type="button"
                class="chip"
                aria-pressed="true"
                onClick={() => setQuery({ [name]: undefined })}
              >
                {name} <bdi>{asked[name]}</bdi> ×
              </button>
            ),
        )}
      </div>
      {problem.value && (
        <Failed
          problem={problem.value}
          retry={() => read(undefined, new AbortController().signal)}
        />
      )}
      {entries.value === undefined ? (
        !problem.value && <Bones />
      ) : (
        <Table entries={entries.value} />
      )}
      {next.value !== null && (
        <p class="more">
          <button
            type="button"
            onClick={() => read(next.value ?? undefined, new AbortController().signal)}
          >
            Older ones
          </button>
        </p>
      )}
    </>
  );
}

function Table({ entries }: { entries: AuditEntry[] }) {
  if (entries.length === 0) return <Empty title="None">Nothing of this kind was done.</Empty>;
  return (
    <section class="panel table">
      <table class="folds">
        <thead>
          <tr>
            <th>When</th>
            <th>Who</th>
            <th>Action</th>
            <th>On</th>
            <th>Outcome</th>
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <tr key={entry.id}>
              <td data-label="When" class="nowrap">
                <time title={exact(entry.at)}>{clock(entry.at)}</time>
              </td>
              <td data-label="Who" class="soft">
                <Foreign>{entry.who}</Foreign>
              </td>
              <td data-label="Action" class="nowrap">
                <Foreign>{entry.action}</Foreign>
              </td>
              <td data-label="On" class="mono">
                <Foreign>{entry.object}</Foreign>
              </td>
              <td data-label="Outcome">
                <Detail detail={entry.detail} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

const TONES: Record<string, Tone> = {
  done: "good",
  succeeded: "good",
  failed: "bad",
  rejected: "bad",
  timed_out: "bad",
  expired: "bad",
};

function Detail({ detail }: { detail: Record<string, unknown> }) {
  const { outcome, ...rest } = detail;
  const word = typeof outcome === "string" ? outcome : "noted";
  return (
    <details>
      <summary>
        <State tone={TONES[word] ?? "idle"}>{word}</State>
      </summary>
      <pre class="payload">{inertLines(JSON.stringify(rest, null, 2))}</pre>
    </details>
  );
}
