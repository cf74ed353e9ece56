// How many devices are in which state: figures that are filters, over one bar of their shares.

import { Shape, type Tone } from "../../parts/state";
import { query, setQuery } from "../../route";
import { count, percent } from "../../text/number";
import { fleet } from "./store";

interface Figure {
  state: string;
  word: string;
  tone: Tone;
  value: number;
}

export function Counts() {
  const counts = fleet.counts.value;
  const chosen = query.value.get("state") ?? "";
  const figures: Figure[] = [
    { state: "", word: "all", tone: "idle", value: (counts?.devices ?? 0) + (counts?.unseen ?? 0) },
    { state: "online", word: "online", tone: "good", value: counts?.online ?? 0 },
    { state: "offline", word: "offline", tone: "bad", value: counts?.offline ?? 0 },
    { state: "unseen", word: "never seen", tone: "idle", value: counts?.unseen ?? 0 },
    { state: "revoked", word: "revoked", tone: "warn", value: counts?.revoked ?? 0 },
    { state: "clock", word: "clock off", tone: "warn", value: counts?.clock_off ?? 0 },
  ];
  return (
    <div class="counts">
      <div class="figures" role="group" aria-label="Devices by state">
        {figures.map(({ state, word, tone, value }) => (
          <button
            key={state}
            type="button"
            class={value === 0 ? "none" : ""}
            aria-pressed={chosen === state}
            onClick={() => setQuery({ state: chosen === state ? undefined : state })}
          >
            <b>{counts ? count(value) : " "}</b>
            <span>
              {state !== "" && <Shape tone={value === 0 ? "idle" : tone} />}
              {word}
            </span>
          </button>
        ))}
      </div>
      <Shares
        online={counts?.online ?? 0}
        offline={counts?.offline ?? 0}
        unseen={counts?.unseen ?? 0}
      />
    </div>
  );
}

function Shares({ online, offline, unseen }: { online: number; offline: number; unseen: number }) {
  const total = online + offline + unseen;
  const part = (value: number) => ({ flexGrow: String(value) });
  const words = total === 0 ? "no devices" : `${percent((100 * online) / total)} online`;
  return (
    <div class="shares" role="img" aria-label={words} title={words}>
      {online > 0 && <i class="up" style={part(online)} />}
      {offline > 0 && <i class="down" style={part(offline)} />}
      {unseen > 0 && <i class="unknown" style={part(unseen)} />}
    </div>
  );
}
