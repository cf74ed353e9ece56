// What lets a device in: its credentials, and how they are taken away or replaced.

import { useSignal } from "@preact/signals";
import { get } from "../../api/http";
import { useResource } from "../../api/resource";
import type { Credentials } from "../../api/types";
import { Copyable } from "../../parts/copy";
import { Because, Elsewhere } from "../../parts/elsewhere";
import { Loaded } from "../../parts/notice";
import { quoted, SameAs } from "../../parts/same_as";
import { State } from "../../parts/state";
import { Ago } from "../../parts/text";
import { may } from "../../session";
import { counted } from "../../text/number";
import { now } from "../../text/time";

export function CredentialTab({ device }: { device: string }) {
  const path = `/v1/devices/${device}/credentials`;
  const read = useResource((abort) => get<Credentials>(path, {}, abort), [device], 15_000);
  const asked = useSignal<"revoke" | "rotate" | undefined>(undefined);
  const close = () => {
    asked.value = undefined;
  };
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
            <div class="row">
              {may("admin") && (
                <>
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
                </>
              )}
              <SameAs
                command={`wegweiser device show ${device}`}
                request={{ method: "GET", path }}
              />
            </div>
          </header>
          <List told={told} />
          {asked.value === "revoke" && (
            <Revoke device={device} told={told} look={read.refresh} close={close} />
          )}
          {asked.value === "rotate" && (
            <Rotate device={device} told={told} look={read.refresh} close={close} />
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

interface ChangeProps {
  device: string;
  told: Credentials;
  look: () => unknown;
  close: () => void;
}

function Revoke({ device, told, look, close }: ChangeProps) {
  const because = useSignal("");
  const inUse = told.credentials.filter((one) => one.revoked_at === null).length;
  const why = because.value.trim();
  const command = ["wegweiser device revoke", device];
  if (why !== "") command.push("--because", quoted(why));
  return (
    <Elsewhere
      title="Revoke this device"
      effect={`The broker ends its connection at once and refuses ${counted(inUse, "credential")} from then on. What it sent stays. It can come back only with new credentials.`}
      command={command.join(" ")}
      done={told.state === "revoked" ? "The device is revoked." : undefined}
      look={look}
      close={close}
    >
      <Because why={because} such="stolen" />
    </Elsewhere>
  );
}

function Rotate({ device, told, look, close }: ChangeProps) {
  const newest = told.credentials[0]?.public_key;
  const before = useSignal(newest);
  return (
    <Elsewhere
      title="Rotate its credential"
      effect="It gets a new credential, and whoever uses an old one is cut off. Until the new file is on the device, it cannot connect."
      command={`wegweiser device rotate ${device} --creds-out new.creds`}
      done={newest !== before.value ? "A new credential was issued." : undefined}
      look={look}
      close={close}
    />
  );
}
