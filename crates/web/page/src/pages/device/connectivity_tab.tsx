// When a device came and went, as a list.

import { useSignal } from "@preact/signals";
import { useResource } from "../../api/resource";
import { Empty, Loaded } from "../../parts/notice";
import { SameAs } from "../../parts/same_as";
import { Shape } from "../../parts/state";
import { awaysOf } from "../../text/availability";
import { clock, exact, span as length, now } from "../../text/time";
import { readConnectivity, SPANS, type SpanName } from "./availability";

const READ_EVERY_MS = 30_000;

export function ConnectivityTab({ device }: { device: string }) {
  const span = useSignal<SpanName>("7 d");
  const told = useResource(
    (abort) => readConnectivity(device, span.value, abort),
    [device, span.value],
    READ_EVERY_MS,
  );
  return (
    <section class="panel">
      <header>
        <h2>Times without a heartbeat</h2>
        <div class="chips">
          {(Object.keys(SPANS) as SpanName[]).map((name) => (
            <button
              key={name}
              type="button"
              class="chip"
              aria-pressed={span.value === name}
              onClick={() => {
                span.value = name;
              }}
            >
              {name}
            </button>
          ))}
          <SameAs
            request={{
              method: "GET",
              path: `/v1/devices/${device}/connectivity`,
              query: { since: told.data.value?.since },
            }}
          />
        </div>
      </header>
      <div class="body">
        <Loaded from={told}>
          {(data) => {
            const aways = awaysOf(data);
            if (aways.length === 0) {
              return <Empty title="None">It was heard all the time that is known of it.</Empty>;
            }
            return (
              <>
                <ol class="timeline">
                  {aways.map((away) => (
                    <li key={away.from}>
                      <Shape tone={away.until === null ? "bad" : "idle"} />
                      <time title={exact(away.from)}>{clock(away.from)}</time>
                      <span>
                        {away.until === null ? (
                          <b>silent for {length(now.value - away.from)}, until now</b>
                        ) : (
                          <>
                            silent for <b>{length(away.until - away.from)}</b>, back at{" "}
                            <time title={exact(away.until)}>{clock(away.until)}</time>
                          </>
                        )}
                      </span>
                    </li>
                  ))}
                </ol>
                {data.more && (
                  <p class="quiet small">There are more than are shown; choose a shorter time.</p>
                )}
              </>
            );
          }}
        </Loaded>
      </div>
    </section>
  );
}
