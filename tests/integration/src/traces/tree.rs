//! A trace as text, each span below its parent, as docs/tracing.md shows one.

use std::fmt::Write as _;

use super::collector::Span;

const KINDS: [&str; 6] = ["", "internal", "server", "client", "producer", "consumer"];
const NANOSECONDS_IN_A_MICROSECOND: u64 = 1_000;

/// Every span below `root`, which is the first line; times in milliseconds since its beginning.
pub(super) fn tree(spans: &[Span], root: &Span) -> String {
    let mut text = format!("trace {}\n", root.trace);
    let _ = writeln!(
        text,
        "{:>8} {:>8}  {:16}  {:18} {:8}",
        "at, ms", "took, ms", "span", "program", "kind"
    );
    line(&mut text, spans, root, root.began, 0);
    text
}

fn line(text: &mut String, spans: &[Span], span: &Span, zero: u64, depth: usize) {
    let milliseconds = |from: u64, to: u64| {
        let microseconds = to.saturating_sub(from) / NANOSECONDS_IN_A_MICROSECOND;
        format!("{}.{}", microseconds / 1_000, microseconds % 1_000 / 100)
    };
    let kind = usize::try_from(span.kind).ok().and_then(|kind| KINDS.get(kind)).unwrap_or(&"");
    let state = span.attributes.get("wegweiser.command.state");
    let state = state.map(|state| format!(" ({state})")).unwrap_or_default();
    let _ = writeln!(
        text,
        "{:>8} {:>8}  {}  {:18} {kind:8}  {:indent$}{}{state}",
        milliseconds(zero, span.began),
        milliseconds(span.began, span.ended),
        span.id,
        span.service,
        "",
        span.name,
        indent = depth * 2,
    );
    let mut below: Vec<&Span> = spans.iter().filter(|one| one.parent == span.id).collect();
    below.sort_by_key(|one| one.began);
    for one in below {
        line(text, spans, one, zero, depth + 1);
    }
}
