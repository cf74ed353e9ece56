// What stands where data should be: loading, empty, failed, old.

import type { ComponentChildren } from "preact";
import type { Problem } from "../api/http";
import type { Resource } from "../api/resource";
import { now, short } from "../text/time";
import { Copyable } from "./copy";

/** What was read is shown, also while it is old; before that, what keeps it away. */
export function Loaded<T>(props: {
  from: Resource<T>;
  bones?: ComponentChildren;
  children: (data: T) => ComponentChildren;
}) {
  const { from, bones, children } = props;
  const data = from.data.value;
  const problem = from.problem.value;
  if (data === undefined)
    return problem ? <Failed problem={problem} retry={from.refresh} /> : (bones ?? <Bones />);
  return (
    <>
      {problem && <Stale since={from.readAt.value} problem={problem} retry={from.refresh} />}
      {children(data)}
    </>
  );
}

/** The place that data will take, so that nothing jumps when it comes. */
export function Bones({ rows = 5 }: { rows?: number }) {
  const widths = ["72%", "54%", "63%", "48%", "68%"];
  return (
    <div class="bones" aria-busy="true">
      <span class="hidden">loading</span>
      {Array.from({ length: rows }, (_, index) => (
        <p key={index}>
          <i class="bone" style={{ width: widths[index % widths.length] }} />
        </p>
      ))}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <strong>{title}</strong>
      {children}
    </div>
  );
}

/** A refusal or a failure, with its remedy and the request's id. */
export function Failed({ problem, retry }: { problem: Problem; retry?: () => unknown }) {
  return (
    <div class="failed" role="alert">
      <p>
        <b>{sentence(problem.title)}</b> {problem.detail}
      </p>
      {problem.remedy && !problem.detail.includes(problem.remedy) && <p>{problem.remedy}</p>}
      <div class="row">
        {retry && (
          <button type="button" class="tight" onClick={() => retry()}>
            Try again
          </button>
        )}
        {problem.request && (
          <span class="quiet">
            request <Copyable text={problem.request} label="request id" />
          </span>
        )}
      </div>
    </div>
  );
}

function Stale({
  since,
  problem,
  retry,
}: {
  since: number;
  problem: Problem;
  retry: () => unknown;
}) {
  return (
    <p class="stale" role="status">
      <b>Not up to date.</b> This is what was known {short(now.value - since)} ago. {problem.detail}{" "}
      <button type="button" class="link" onClick={() => retry()}>
        Try again
      </button>
    </p>
  );
}

export function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
