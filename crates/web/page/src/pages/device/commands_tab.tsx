// The console: what to order, what was ordered, and one order with its output as it comes.

import { useSignal } from "@preact/signals";
import { isFinal, listOrders, ORDERS_PATH, type OrderPage, sendOrder } from "../../api/commands";
import type { Problem } from "../../api/http";
import { asProblem, type Resource, useResource } from "../../api/resource";
import type { DeviceWhole } from "../../api/types";
import { Empty, Failed, Loaded } from "../../parts/notice";
import { quoted, SameAs } from "../../parts/same_as";
import { Ago, Foreign } from "../../parts/text";
import { query, setQuery } from "../../route";
import { argumentsOf, type Field, inWords, KINDS, type Kind } from "./kinds";
import { OrderState } from "./order_state";
import { OrderView } from "./order_view";

const READ_EVERY_MS = 5_000;

interface Props {
  device: string;
  row: DeviceWhole | undefined;
  mayOrder: boolean;
}

export function CommandsTab({ device, row, mayOrder }: Props) {
  const orders = useResource((abort) => listOrders(device, abort), [device], READ_EVERY_MS);
  const picked = query.value.get("command") ?? orders.data.value?.commands[0]?.command;
  return (
    <div class="console">
      <div class="stack">
        {mayOrder ? (
          <NewOrder
            device={device}
            isOnline={row?.online ?? true}
            sent={(command) => sentNow(command, orders)}
          />
        ) : (
          <p class="small soft">Your role shows commands; ordering them takes the role operator.</p>
        )}
        <History orders={orders} picked={picked} />
      </div>
      {picked ? (
        <OrderView
          key={picked}
          command={picked}
          device={device}
          mayCancel={mayOrder}
          changed={orders.refresh}
        />
      ) : (
        <section class="panel">
          <Empty title="Nothing was ordered yet">
            What a command answers appears here as it comes.
          </Empty>
        </section>
      )}
    </div>
  );
}

function sentNow(command: string, orders: Resource<OrderPage>): void {
  void orders.refresh();
  setQuery({ command });
}

function NewOrder({
  device,
  isOnline,
  sent,
}: {
  device: string;
  isOnline: boolean;
  sent: (command: string) => void;
}) {
  const name = useSignal("ping");
  const typed = useSignal<Record<string, string>>({});
  const problem = useSignal<Problem | undefined>(undefined);
  const isSending = useSignal(false);
  const kind = KINDS.find((one) => one.name === name.value) ?? (KINDS[0] as Kind);
  const order = {
    devices: [device],
    kind: kind.name,
    arguments: argumentsOf(kind, typed.value),
  };

  const submit = async (event: Event) => {
    event.preventDefault();
    isSending.value = true;
    problem.value = undefined;
    try {
      sent(await sendOrder(order));
    } catch (error) {
      problem.value = asProblem(error);
    } finally {
      isSending.value = false;
    }
  };

  return (
    <form class="panel" onSubmit={submit}>
      <div class="body stack">
        <label>
          <span>Command</span>
          <select
            name="kind"
            value={name.value}
            onChange={(event) => {
              name.value = event.currentTarget.value;
              typed.value = {};
            }}
          >
            {KINDS.map((one) => (
              <option key={one.name} value={one.name}>
                {one.title}
              </option>
            ))}
          </select>
        </label>
        <p class="small soft">{kind.about}</p>
        {kind.fields.map((field) => (
          <Input
            key={kind.name + field.name}
            field={field}
            value={typed.value[field.name] ?? field.initial}
            change={(value) => {
              typed.value = { ...typed.value, [field.name]: value };
            }}
          />
        ))}
        {problem.value && <Failed problem={problem.value} />}
        {!isOnline && (
          <p class="small warn">The device is away. The command waits for it until it expires.</p>
        )}
        <div class="row">
          <button type="submit" class="first" disabled={isSending.value}>
            {isSending.value ? "Sending" : "Send"}
          </button>
          <SameAs
            command={commandText(device, order)}
            request={{ method: "POST", path: ORDERS_PATH, body: order }}
          />
        </div>
      </div>
    </form>
  );
}

/** The order as an operator types it. */
function commandText(device: string, order: { kind: string; arguments: object }): string {
  const args = JSON.stringify(order.arguments);
  const given = args === "{}" ? "" : ` --arguments ${quoted(args)}`;
  return `wegweiser command send ${order.kind} --device ${device}${given} --wait`;
}

function Input({
  field,
  value,
  change,
}: {
  field: Field;
  value: string;
  change: (value: string) => void;
}) {
  const common = {
    name: field.name,
    value,
    required: field.required,
    placeholder: field.hint,
    spellcheck: false,
    autocomplete: "off",
  };
  return (
    <label>
      <span>{field.label}</span>
      {field.type === "lines" ? (
        <textarea {...common} rows={3} onInput={(event) => change(event.currentTarget.value)} />
      ) : field.type === "number" ? (
        <input
          {...common}
          type="number"
          min={1}
          onInput={(event) => change(event.currentTarget.value)}
        />
      ) : (
        <input
          {...common}
          class="mono"
          type="text"
          onInput={(event) => change(event.currentTarget.value)}
        />
      )}
    </label>
  );
}

function History({ orders, picked }: { orders: Resource<OrderPage>; picked: string | undefined }) {
  return (
    <section class="panel history" aria-label="History">
      <header>
        <h2>History</h2>
      </header>
      <Loaded from={orders}>
        {({ commands }) =>
          commands.length === 0 ? (
            <p class="body quiet">None yet.</p>
          ) : (
            <div>
              {commands.map((order) => (
                <button
                  key={order.command}
                  type="button"
                  class="order"
                  aria-current={order.command === picked}
                  onClick={() => setQuery({ command: order.command })}
                >
                  <b>{order.kind}</b>
                  <OrderState state={order.state} />
                  <span class="cut soft small mono">
                    <Foreign>{inWords(order.arguments)}</Foreign>
                  </span>
                  <span class="small quiet nowrap">
                    {isFinal(order.state) ? "" : "since "}
                    <Ago at={order.created_at} />
                  </span>
                </button>
              ))}
            </div>
          )
        }
      </Loaded>
    </section>
  );
}
