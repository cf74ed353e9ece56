// What lets a device in: its credentials, and how they are taken away or replaced.

import { useSignal } from "@preact/signals";
import { ask, get, type Problem } from "../../api/http";
import { asProblem, useResource } from "../../api/resource";
import type { Credentials } from "../../api/types";
import { Code, Copyable, say } from "../../parts/copy";
import { Dialog } from "../../parts/dialog";
import { Failed, Loaded } from "../../parts/notice";
import { SameAs } from "../../parts/same_as";
import { State } from "../../parts/state";
import { Ago } from "../../parts/text";
import { may } from "../../session";
import { counted } from "../../text/number";
import { now } from "../../text/time";

type Verb = "revoke" | "rotate";

export function CredentialTab({ device }: { device: string }) {
  const path = `/v1/devices/${device}/credentials`;
  const read = useResource((abort) => get<Credentials>(path, {}, abort), [device], 15_000);
  const asked = useSignal<Verb | undefined>(undefined);
  return (
    <Loaded from={read}>
      {(told) => (
        <section class="panel">
          <header>
            <div class="row">
              <h2>Credential</h2>
              {told.state === "active" ? (
                <State tone="good">may connect</State>
              ) : (
                <State tone="bad">revoked</State>
              )}
              {told.tenant_state === "suspended" && (
                <State tone="warn">its tenant is suspended</State>
              )}
            </div>
            {may("admin") && (
              <div class="row">
                <button type="button" onClick={() => (asked.value = "rotate")}>
                  Rotate…
                </button>
                <button
                  type="button"
                  class="grave"
                  disabled={told.state === "revoked"}
                  onClick={() => (asked.value = "revoke")}
                >
                  Revoke…
                </button>
              </div>
            )}
          </header>
          <List told={told} />
          {asked.value && (
            <Change
              device={device}
              verb={asked.value}
              inUse={told.credentials.filter((one) => one.revoked_at === null).length}
              close={() => {
                asked.value = undefined;
                void read.refresh();
              }}
            />
          )}
        </section>
      )}
    </Loaded>
  );
}

function List({ told }: { told: Credentials }) {
  if (told.credentials.length === 0) return <p class="body quiet">None was issued yet.</p>;
  return (
    <div class="table">
      <table class="folds">
        <thead>
          <tr>
            <th>State</th>
            <th>Public key</th>
            <th>Issued</th>
            <th>Ends</th>
          </tr>
        </thead>
        <tbody>
          {told.credentials.map((one) => (
            <tr key={one.public_key + one.issued_at}>
              <td data-label="State">
                {one.revoked_at !== null ? (
                  <State tone="bad">revoked</State>
                ) : one.expires_at !== null && one.expires_at < now.value ? (
                  <State tone="idle">ended</State>
                ) : (
                  <State tone="good">good</State>
                )}
              </td>
              <td data-label="Public key">
                <Copyable
                  text={one.public_key}
                  label="public key"
                  short={`${one.public_key.slice(0, 8)}…${one.public_key.slice(-6)}`}
                />
              </td>
              <td data-label="Issued">
                <Ago at={one.issued_at} />
              </td>
              <td data-label="Ends">
                {one.revoked_at !== null ? (
                  <>
                    revoked <Ago at={one.revoked_at} />
                  </>
                ) : (
                  <Ago at={one.expires_at} none="no end" />
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const WORDS: Record<Verb, { title: string; button: string; effect: (count: number) => string }> = {
  revoke: {
    title: "Revoke this device",
    button: "Revoke",
    effect: (count) =>
      `The broker ends its connection at once and refuses ${counted(count, "credential")} from then on. What it sent stays. It can come back only with new credentials.`,
  },
  rotate: {
    title: "Rotate its credential",
    button: "Rotate",
    effect: () =>
      "It gets a new credential, and whoever uses an old one is cut off. Until the new file is on the device, it cannot connect.",
  },
};

interface ChangeProps {
  device: string;
  verb: Verb;
  inUse: number;
  close: () => void;
}

/** Says what will happen, then does it, or says where it can be done. */
function Change({ device, verb, inUse, close }: ChangeProps) {
  const problem = useSignal<Problem | undefined>(undefined);
  const because = useSignal("");
  const words = WORDS[verb];
  const command =
    verb === "revoke"
      ? `wegweiser device revoke ${device} --because '${because.value.replaceAll("'", "") || "…"}'`
      : `wegweiser device rotate ${device} --creds-out new.creds`;
  const path = `/v1/devices/${device}/${verb}`;
  const run = async () => {
    try {
      await ask("POST", path);
      say(verb === "revoke" ? "Revoked" : "Rotated");
      close();
    } catch (error) {
      problem.value = asProblem(error);
    }
  };
  const isElsewhere = problem.value?.status === 409 && problem.value.remedy !== undefined;
  return (
    <Dialog
      title={words.title}
      close={close}
      footer={
        <>
          <SameAs command={command} request={{ method: "POST", path }} />
          <button type="button" onClick={close}>
            Leave it
          </button>
          <button type="button" class="first grave" disabled={isElsewhere} onClick={run}>
            {words.button}
          </button>
        </>
      }
    >
      <p class="effect">{words.effect(inUse)}</p>
      {verb === "revoke" && (
        <label>
          <span>Why, for the audit log</span>
          <input
            value={because.value}
            maxLength={200}
            placeholder="stolen"
            onInput={(event) => {
              because.value = event.currentTarget.value;
            }}
          />
        </label>
      )}
      {isElsewhere ? (
        <div class="stack">
          <p>
            This service holds no key that may do this, so that whoever breaks into it cannot
            either. Run it where the key directory is:
          </p>
          <Code text={problem.value?.remedy ?? command} label="command" />
        </div>
      ) : (
        problem.value && <Failed problem={problem.value} />
      )}
    </Dialog>
  );
}
