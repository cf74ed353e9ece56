// Messages that could not be applied: grouped by cause, over time, and one by one.

import { computed } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get } from "../../api/http";
import { useResource } from "../../api/resource";
import type { LetterCounts } from "../../api/types";
import { letterTotal } from "../../parts/letter_total";
import { Loaded } from "../../parts/notice";
import { quoted, SameAs } from "../../parts/same_as";
import { query, setQuery } from "../../route";
import { inert } from "../../text/inert";
import { count, counted } from "../../text/number";
import { LetterList } from "./list";

const HOUR = 3_600_000;
const TIMES: [string, string, number][] = [
  ["", "any time", 0],
  ["1h", "last hour", HOUR],
  ["24h", "last 24 h", 24 * HOUR],
  ["7d", "last 7 d", 168 * HOUR],
];

const filter = computed(() => ({
  stream: query.value.get("stream") ?? undefined,
  reason: query.value.get("reason") ?? undefined,
  device: query.value.get("device") ?? undefined,
  tenant: query.value.get("tenant") ?? undefined,
}));

export function LettersPage() {
  const { stream, reason, device, tenant } = filter.value;
  const time = query.value.get("time") ?? "";
  const length = TIMES.find(([name]) => name === time)?.[2] ?? 0;
  return (
    <>
      <header class="spread">
        <h1>Dead letters</h1>
        <div class="chips" role="group" aria-label="Parked within">
          {TIMES.map(([name, words]) => (
            <button
              key={name}
              type="button"
              class="chip"
              aria-pressed={time === name}
              onClick={() => setQuery({ time: name, letter: undefined })}
            >
              {words}
            </button>
          ))}
          <SameAs
            command={listCommand(filter.value)}
            request={{ method: "GET", path: "/v1/dead-letters", query: filter.value }}
          />
        </div>
      </header>
      <Groups />
      {(device || tenant) && (
        <p class="chips">
          {device && (
            <button
              type="button"
              class="chip"
              aria-pressed="true"
              onClick={() => setQuery({ device: undefined })}
            >
              device {inert(device)} ×
            </button>
          )}
          {tenant && (
            <button
              type="button"
              class="chip"
              aria-pressed="true"
              onClick={() => setQuery({ tenant: undefined })}
            >
              tenant {inert(tenant)} ×
            </button>
          )}
        </p>
      )}
      <LetterList
        filter={{ stream, reason, device, tenant }}
        lengthMs={length}
        total={letterTotal.value}
      />
    </>
  );
}

/** The same list for an operator's terminal. */
function listCommand(chosen: Record<string, string | undefined>): string {
  const words = Object.entries(chosen).flatMap(([name, value]) =>
    value ? [`--${name}`, quoted(value)] : [],
  );
  return ["wegweiser dlq list", ...words].join(" ");
}

/** How many of each cause; a click shows these alone. */
function Groups() {
  const { stream, reason, device, tenant } = filter.value;
  const counts = useResource(
    (abort) => get<LetterCounts>("/v1/dead-letters/counts", { device, tenant }, abort),
    [device, tenant],
    30_000,
  );
  const total = letterTotal.value;
  useEffect(() => {
    // A change only: the first reading is under way.
    if (counts.readAt.peek() > 0) void counts.refresh();
  }, [total, counts]);
  return (
    <Loaded from={counts} bones={<GroupBones />}>
      {({ groups, total }) =>
        total === 0 ? null : (
          <div class="groups" role="group" aria-label={`${counted(total, "dead letter")} by cause`}>
            {[...groups]
              .sort((a, b) => b.letters - a.letters)
              .map((group) => {
                const isChosen = group.stream === stream && group.reason === reason;
                const to = isChosen ? {} : group;
                return (
                  <button
                    key={group.stream + group.reason}
                    type="button"
                    aria-pressed={isChosen}
                    onClick={() =>
                      setQuery({
                        stream: undefined,
                        reason: undefined,
                        letter: undefined,
                        ...pick(to),
                      })
                    }
                  >
                    <span>{inert(group.reason).replaceAll("_", " ")}</span>
                    <span class="small soft">{inert(group.stream)}</span>
                    <b>{count(group.letters)}</b>
                  </button>
                );
              })}
          </div>
        )
      }
    </Loaded>
  );
}

/** The place that a row of them takes. */
function GroupBones() {
  return (
    <div class="groups" aria-busy="true">
      <button type="button" disabled>
        <span>{"\u00a0"}</span>
        <span class="small">{"\u00a0"}</span>
      </button>
    </div>
  );
}

function pick(group: { stream?: string; reason?: string }): Record<string, string | undefined> {
  return { stream: group.stream, reason: group.reason };
}
