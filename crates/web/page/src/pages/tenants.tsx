// Tenants: whose devices there are, and what lets in further ones.

import { useSignal } from "@preact/signals";
import { ask, get } from "../api/http";
import { asProblem, useResource } from "../api/resource";
import type { EnrolToken, Tenant } from "../api/types";
import { Code, say } from "../parts/copy";
import { Because, Elsewhere } from "../parts/elsewhere";
import { Empty, Loaded } from "../parts/notice";
import { quoted, SameAs } from "../parts/same_as";
import { State } from "../parts/state";
import { Ago, Foreign, ShortId } from "../parts/text";
import { go } from "../route";
import { may } from "../session";
import { bytes, count, counted } from "../text/number";
import { now } from "../text/time";
import { NewToken } from "./new_token";

const READ_EVERY_MS = 15_000;

export function TenantsPage() {
  const read = useResource(
    (abort) => get<{ tenants: Tenant[] }>("/v1/tenants", {}, abort),
    [],
    READ_EVERY_MS,
  );
  return (
    <>
      <header class="spread">
        <h1>Tenants</h1>
        <SameAs command="wegweiser tenant list" request={{ method: "GET", path: "/v1/tenants" }} />
      </header>
      <Loaded from={read}>
        {({ tenants }) =>
          tenants.length === 0 ? (
            <Empty title="No tenant yet">
              <p>Where the key directory is:</p>
              <Code text="wegweiser tenant add --name 'Acme'" label="command" />
            </Empty>
          ) : (
            <section class="panel table">
              <table class="folds">
                <thead>
                  <tr>
                    <th>State</th>
                    <th>Name</th>
                    <th class="number">Registered</th>
                    <th class="number">Online</th>
                    <th class="number">Connections at most</th>
                    <th>Added</th>
                    <th>Id</th>
                  </tr>
                </thead>
                <tbody>
                  {tenants.map((tenant) => (
                    <Row key={tenant.tenant} tenant={tenant} />
                  ))}
                </tbody>
              </table>
            </section>
          )
        }
      </Loaded>
    </>
  );
}

function Row({ tenant }: { tenant: Tenant }) {
  const to = `/tenants/${tenant.tenant}`;
  return (
    <tr
      class="picks"
      onClick={(event) => !(event.target as Element).closest("a, button") && go(to)}
    >
      <td data-label="State">
        <TenantState state={tenant.state} />
      </td>
      <td data-label="Name">
        <a href={to}>
          <Foreign>{tenant.name}</Foreign>
        </a>
      </td>
      <td data-label="Registered" class="number">
        <a href={`/?tenant=${tenant.tenant}`}>{count(tenant.devices)}</a>
      </td>
      <td data-label="Online" class="number">
        {count(tenant.online)}
      </td>
      <td data-label="Connections at most" class="number">
        {tenant.limits === null ? (
          <span class="quiet">–</span>
        ) : tenant.limits.conn < 0 ? (
          "no limit"
        ) : (
          count(tenant.limits.conn)
        )}
      </td>
      <td data-label="Added">
        <Ago at={tenant.created_at} />
      </td>
      <td data-label="Id">
        <ShortId id={tenant.tenant} />
      </td>
    </tr>
  );
}

function TenantState({ state }: { state: Tenant["state"] }) {
  return state === "active" ? (
    <State tone="good">active</State>
  ) : (
    <State tone="warn">suspended</State>
  );
}

export function TenantPage({ tenant }: { tenant: string }) {
  const path = `/v1/tenants/${tenant}`;
  const read = useResource((abort) => get<Tenant>(path, {}, abort), [tenant], READ_EVERY_MS);
  const asked = useSignal<"suspend" | "resume" | undefined>(undefined);
  return (
    <Loaded from={read}>
      {(told) => {
        const verb = told.state === "active" ? "suspend" : "resume";
        return (
          <div class="stack">
            <header class="spread">
              <div class="device-head">
                <div class="name">
                  <h1>
                    <Foreign>{told.name}</Foreign>
                  </h1>
                  <TenantState state={told.state} />
                  <a href={`/?tenant=${tenant}`}>
                    {counted(told.devices, "registered device")}, {count(told.online)} online
                  </a>
                </div>
                <p class="soft small">
                  <span class="mono">{told.tenant}</span>, added <Ago at={told.created_at} />
                </p>
              </div>
              <div class="row">
                {may("admin") && (
                  <button
                    type="button"
                    class={verb === "suspend" ? "grave" : ""}
                    onClick={() => (asked.value = verb)}
                  >
                    {verb === "suspend" ? "Suspend…" : "Resume…"}
                  </button>
                )}
                <SameAs
                  command={`wegweiser tenant show ${tenant}`}
                  request={{ method: "GET", path }}
                />
              </div>
            </header>
            <LimitsPanel tenant={told} />
            {may("admin") ? (
              <Tokens tenant={tenant} />
            ) : (
              <p class="soft">Enrolment tokens are for the role admin.</p>
            )}
            {asked.value && (
              <Change
                tenant={told}
                verb={asked.value}
                look={read.refresh}
                close={() => {
                  asked.value = undefined;
                }}
              />
            )}
          </div>
        );
      }}
    </Loaded>
  );
}

/** What the broker lets the tenant use. */
function LimitsPanel({ tenant }: { tenant: Tenant }) {
  const { limits } = tenant;
  if (limits === null) {
    return (
      <section class="panel">
        <header>
          <h2>Limits</h2>
        </header>
        <div class="body stack">
          <p class="soft">Nobody told this service what they are. Where the key directory is:</p>
          <Code text="wegweiser accounts apply" label="command" />
        </div>
      </section>
    );
  }
  return (
    <section class="panel">
      <header>
        <h2>Limits</h2>
      </header>
      <dl class="facts body">
        <div>
          <dt>Connections at once</dt>
          <dd>
            {limits.conn < 0 ? "no limit" : count(limits.conn)}
            {limits.conn >= 0 && tenant.devices > limits.conn && (
              <span class="tag warn">fewer than its {counted(tenant.devices, "device")}</span>
            )}
          </dd>
        </div>
        <div>
          <dt>Size of a message</dt>
          <dd>{limits.payload < 0 ? "no limit" : bytes(limits.payload)}</dd>
        </div>
        <div>
          <dt>Subscriptions a connection</dt>
          <dd>{limits.subs < 0 ? "no limit" : count(limits.subs)}</dd>
        </div>
      </dl>
    </section>
  );
}

function Tokens({ tenant }: { tenant: string }) {
  const read = useResource(
    (abort) => get<{ tokens: EnrolToken[] }>("/v1/enroll-tokens", { tenant, limit: 100 }, abort),
    [tenant],
    READ_EVERY_MS,
  );
  const isMaking = useSignal(false);
  return (
    <section class="panel">
      <header>
        <h2>Enrolment tokens</h2>
        <button type="button" class="first" onClick={() => (isMaking.value = true)}>
          New token…
        </button>
      </header>
      <Loaded from={read}>
        {({ tokens }) =>
          tokens.length === 0 ? (
            <Empty title="None">A token lets a number of devices in, for some time.</Empty>
          ) : (
            <div class="table">
              <table class="folds">
                <thead>
                  <tr>
                    <th>State</th>
                    <th class="number">Left</th>
                    <th>Ends</th>
                    <th>Made</th>
                    <th>By</th>
                    <th>
                      <span class="hidden">Revoke</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {tokens.map((token) => (
                    <Token key={token.id} token={token} changed={read.refresh} />
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Loaded>
      {isMaking.value && (
        <NewToken
          tenant={tenant}
          close={() => {
            isMaking.value = false;
            void read.refresh();
          }}
        />
      )}
    </section>
  );
}

function Token({ token, changed }: { token: EnrolToken; changed: () => unknown }) {
  const isGood = token.revoked_at === null && token.expires_at > now.value && token.uses_left > 0;
  const word =
    token.revoked_at !== null ? "revoked" : token.expires_at <= now.value ? "ended" : "used up";
  const path = `/v1/enroll-tokens/${token.id}`;
  const revoke = async () => {
    try {
      await ask("DELETE", path);
      say("The token admits no further device");
      changed();
    } catch (error) {
      say(asProblem(error).message);
    }
  };
  return (
    <tr>
      <td data-label="State">
        {isGood ? <State tone="good">good</State> : <State tone="idle">{word}</State>}
      </td>
      <td data-label="Left" class="number">
        {count(token.uses_left)} of {count(token.uses)}
      </td>
      <td data-label="Ends">
        <Ago at={token.expires_at} />
      </td>
      <td data-label="Made">
        <Ago at={token.created_at} />
      </td>
      <td data-label="By" class="soft">
        <Foreign>{token.created_by}</Foreign>
      </td>
      <td data-label="" class="number">
        {isGood && (
          <span class="row end">
            <button type="button" class="tight grave" onClick={revoke}>
              Revoke
            </button>
            <SameAs
              command={`wegweiser enroll-token revoke ${token.id}`}
              request={{ method: "DELETE", path }}
            />
          </span>
        )}
      </td>
    </tr>
  );
}

/** Says what suspending or resuming does, and what to type for it. */
function Change({ tenant, verb, look, close }: ChangeProps) {
  const because = useSignal("");
  const why = because.value.trim();
  const command = [`wegweiser tenant ${verb}`, tenant.tenant];
  if (why !== "") command.push("--because", quoted(why));
  const isDone = tenant.state === (verb === "suspend" ? "suspended" : "active");
  return (
    <Elsewhere
      title={verb === "suspend" ? "Suspend this tenant" : "Resume this tenant"}
      effect={
        verb === "suspend"
          ? `Every connection of this tenant ends and new ones are refused: ${counted(tenant.online, "device")} online now. What they measure meanwhile waits on them. Nothing that is stored is lost.`
          : "Its devices may connect again, with the credentials that they have."
      }
      command={command.join(" ")}
      done={isDone ? `The tenant is ${tenant.state}.` : undefined}
      look={look}
      close={close}
    >
      {verb === "suspend" && <Because why={because} such="contract ended" />}
    </Elsewhere>
  );
}

interface ChangeProps {
  tenant: Tenant;
  verb: "suspend" | "resume";
  look: () => unknown;
  close: () => void;
}
