// Making an enrolment token. It is shown once, with the command that uses it.

import { useSignal } from "@preact/signals";
import { ask, type Problem } from "../api/http";
import { asProblem } from "../api/resource";
import type { NewEnrolToken } from "../api/types";
import { Code } from "../parts/copy";
import { Dialog } from "../parts/dialog";
import { Failed } from "../parts/notice";
import { SameAs } from "../parts/same_as";
import { Ago } from "../parts/text";
import { counted } from "../text/number";

const HOUR_S = 3_600;
const LIVES: [string, number, string][] = [
  ["an hour", HOUR_S, "1h"],
  ["a day", 24 * HOUR_S, "24h"],
  ["a week", 168 * HOUR_S, "7d"],
  ["30 days", 720 * HOUR_S, "30d"],
];

export function NewToken({ tenant, close }: { tenant: string; close: () => void }) {
  const uses = useSignal("1");
  const life = useSignal(24 * HOUR_S);
  const made = useSignal<NewEnrolToken | undefined>(undefined);
  const problem = useSignal<Problem | undefined>(undefined);
  const body = { tenant, uses: Number(uses.value), expires_in_seconds: life.value };
  const span = LIVES.find(([, seconds]) => seconds === life.value)?.[2] ?? "24h";
  const make = async (event: Event) => {
    event.preventDefault();
    try {
      made.value = await ask<NewEnrolToken>("POST", "/v1/enroll-tokens", { body });
      problem.value = undefined;
    } catch (error) {
      problem.value = asProblem(error);
    }
  };
  if (made.value) return <Made token={made.value} close={close} />;
  return (
    <Dialog
      title="New enrolment token"
      close={close}
      footer={
        <>
          <SameAs
            command={`wegweiser enroll-token create --tenant ${tenant} --uses ${body.uses} --expires ${span}`}
            request={{ method: "POST", path: "/v1/enroll-tokens", body }}
          />
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" form="new-token" class="first">
            Make it
          </button>
        </>
      }
    >
      <form id="new-token" class="row" onSubmit={make}>
        <label>
          <span>Devices that it admits</span>
          <input
            type="number"
            min={1}
            max={10_000}
            required
            value={uses.value}
            onInput={(event) => {
              uses.value = event.currentTarget.value;
            }}
          />
        </label>
        <label>
          <span>Good for</span>
          <select
            value={String(life.value)}
            onChange={(event) => {
              life.value = Number(event.currentTarget.value);
            }}
          >
            {LIVES.map(([name, seconds]) => (
              <option key={seconds} value={String(seconds)}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </form>
      {problem.value && <Failed problem={problem.value} />}
    </Dialog>
  );
}

/** Shown this once: closing it forgets it. */
function Made({ token, close }: { token: NewEnrolToken; close: () => void }) {
  const install = [
    `printf '%s' '${token.token}' | sudo wegweiser-agent enroll --url ${location.origin} --token-file -`,
    "sudo wegweiser-agent install",
  ].join("\n");
  return (
    <Dialog
      title="The token, shown once"
      close={close}
      broad
      footer={
        <button type="button" class="first" onClick={close}>
          I have it
        </button>
      }
    >
      <p>
        It admits {counted(token.uses, "device")} and ends <Ago at={token.expires_at} />. When this
        is closed, nobody can read it again.
      </p>
      <Code text={token.token} label="token" />
      <p>On the device:</p>
      <Code text={install} label="install command" />
    </Dialog>
  );
}
