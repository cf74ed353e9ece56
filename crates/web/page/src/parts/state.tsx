// A state: a shape and a word. The shapes differ, so that colour is never all that tells.

export type Tone = "good" | "bad" | "warn" | "idle";

export function State({ tone, children, title }: { tone: Tone; children: string; title?: string }) {
  return (
    <span class="state" title={title}>
      <Shape tone={tone} />
      {children}
    </span>
  );
}

export function Shape({ tone }: { tone: Tone }) {
  return (
    <svg viewBox="0 0 12 12" class={`shape ${tone}`} aria-hidden="true">
      {tone === "good" && <circle cx="6" cy="6" r="5" fill="currentColor" />}
      {tone === "bad" && <path d="M1 1h10v10H1z" fill="currentColor" />}
      {tone === "warn" && <path d="M6 .500 12 11.500H0z" fill="currentColor" />}
      {tone === "idle" && (
        <circle cx="6" cy="6" r="4.250" fill="none" stroke="currentColor" stroke-width="1.500" />
      )}
    </svg>
  );
}
