// Where the files that declare the streams and the broker differ: `wegweiser streams plan`.

import { get } from "../api/http";
import { useResource } from "../api/resource";
import type { Drift, DriftChange } from "../api/types";
import { Code } from "../parts/copy";
import { Loaded } from "../parts/notice";
import { SameAs } from "../parts/same_as";
import { State, type Tone } from "../parts/state";
import { Foreign } from "../parts/text";
import { counted } from "../text/number";

const PATH = "/v1/streams/plan";
const READ_EVERY_MS = 30_000;

const EFFECTS: Record<DriftChange["effect"], [Tone, string, string]> = {
  create: ["idle", "is missing", ""],
  update: ["warn", "differs", ""],
  remove: ["warn", "would go", ""],
  destructive: ["bad", "loses data", "would lose "],
  immutable: ["bad", "cannot be changed", ""],
};

export function DriftPanel() {
  const read = useResource((abort) => get<Drift>(PATH, {}, abort), [], READ_EVERY_MS);
  const refusal = read.problem.value;
  return (
    <section class="panel" aria-label="Files and broker">
      <header>
        <div class="row">
          <h2>Files and broker</h2>
          {read.data.value && <Standing drift={read.data.value} />}
        </div>
        <SameAs command="wegweiser streams plan" request={{ method: "GET", path: PATH }} />
      </header>
      {refusal?.status === 409 ? (
        <div class="body stack">
          <p class="soft">
            The streams are not compared with their files, since this service has none:{" "}
            <Foreign>{refusal.detail}</Foreign>
          </p>
          {refusal.remedy && <p class="soft">{refusal.remedy}</p>}
        </div>
      ) : (
        <Loaded from={read}>{(drift) => <Changes drift={drift} />}</Loaded>
      )}
    </section>
  );
}

function Standing({ drift }: { drift: Drift }) {
  if (drift.in_sync) return <State tone="good">agree</State>;
  return <State tone="warn">{`differ in ${counted(drift.changes.length, "place")}`}</State>;
}

function Changes({ drift }: { drift: Drift }) {
  if (drift.in_sync) {
    return (
      <div class="body">
        <p class="soft">The broker has every stream and consumer as the files declare it.</p>
        <Notes notes={drift.notes} />
      </div>
    );
  }
  return (
    <>
      <div class="table">
        <table class="folds">
          <thead>
            <tr>
              <th>What</th>
              <th>State</th>
              <th>From broker to files</th>
            </tr>
          </thead>
          <tbody>
            {drift.changes.map((change) => (
              <Row key={change.object + change.field} change={change} />
            ))}
          </tbody>
        </table>
      </div>
      <div class="body stack">
        <p class="soft">To make the broker what the files say:</p>
        <Code text="wegweiser streams apply" label="command" />
        <Notes notes={drift.notes} />
      </div>
    </>
  );
}

function Row({ change }: { change: DriftChange }) {
  const [tone, word, before] = EFFECTS[change.effect];
  return (
    <tr>
      <td data-label="What" class="nowrap">
        <Foreign>{change.object}</Foreign>
      </td>
      <td data-label="State">
        <State tone={tone}>{word}</State>
      </td>
      <td data-label="From broker to files" class="mono small">
        <Foreign>{change.summary}</Foreign>
        {change.caution && (
          <p class="bad">
            {before}
            <Foreign>{change.caution}</Foreign>
          </p>
        )}
      </td>
    </tr>
  );
}

function Notes({ notes }: { notes: string[] }) {
  if (notes.length === 0) return null;
  return (
    <ul class="small quiet">
      {notes.map((note) => (
        <li key={note}>
          <Foreign>{note}</Foreign>
        </li>
      ))}
    </ul>
  );
}
