//! Which traces are recorded: as the standard `OTEL_TRACES_SAMPLER` says, with two rules of our own
//! where it goes by parents.
//!
//! Promises: a batch is recorded if one of the messages that it links to is, so that a trace does
//! not end where messages are put together; what a person asked for is recorded whatever the ratio.
//! Neither holds where sampling is off.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use crate::settings::{Reader, Setting};

/// Which traces are recorded.
pub(crate) const SAMPLER: Setting = Setting {
    name: "OTEL_TRACES_SAMPLER",
    default: Some("parentbased_traceidratio"),
    unit: "always_on, always_off, traceidratio, or one of them after parentbased_",
    help: "Which traces are recorded that begin here; parentbased: those that another process records are recorded here too.",
};
/// How many of them.
pub(crate) const RATIO: Setting = Setting {
    name: "OTEL_TRACES_SAMPLER_ARG",
    default: Some("0.01"),
    unit: "a share from 0 to 1",
    help: "Share of the traces that a traceidratio sampler records. A request that sends a command is always recorded.",
};

/// Marks the context of a root that is recorded whatever the ratio.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worthy;

/// Which traces are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Roots {
    All,
    None,
    Share(f64),
}

/// What the settings say of sampling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sampling {
    roots: Roots,
    by_parent: bool,
}

impl Sampling {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        const NAMES: [&str; 6] = [
            "always_on",
            "always_off",
            "traceidratio",
            "parentbased_always_on",
            "parentbased_always_off",
            "parentbased_traceidratio",
        ];
        let name = reader.one_of(&SAMPLER, &NAMES);
        let share = reader.number(&RATIO, 0.0..=1.0);
        let roots = match name.trim_start_matches("parentbased_") {
            "always_on" => Roots::All,
            "always_off" => Roots::None,
            _ => Roots::Share(share),
        };
        Self { roots, by_parent: name.starts_with("parentbased_") }
    }

    pub(crate) fn sampler(self) -> impl ShouldSample + 'static {
        let roots = match self.roots {
            Roots::All => Sampler::AlwaysOn,
            Roots::None => Sampler::AlwaysOff,
            Roots::Share(share) => Sampler::TraceIdRatioBased(share),
        };
        let standard = if self.by_parent { Sampler::ParentBased(Box::new(roots)) } else { roots };
        WithLinks { standard, follows: self.by_parent && self.roots != Roots::None }
    }
}

/// The standard sampler, and our rules for roots.
#[derive(Clone, Debug)]
struct WithLinks {
    standard: Sampler,
    follows: bool,
}

impl ShouldSample for WithLinks {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let is_root = !parent.is_some_and(|parent| parent.span().span_context().is_valid());
        let worthy = parent.is_some_and(|parent| parent.get::<Worthy>().is_some());
        let linked = links.iter().any(|link| link.span_context.is_sampled());
        if self.follows && is_root && (worthy || linked) {
            let decision = SamplingDecision::RecordAndSample;
            return SamplingResult {
                decision,
                attributes: Vec::new(),
                trace_state: TraceState::NONE,
            };
        }
        self.standard.should_sample(parent, trace_id, name, span_kind, attributes, links)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};

    use super::*;

    fn origin(flags: TraceFlags) -> SpanContext {
        SpanContext::new(TraceId::from(7), SpanId::from(7), flags, true, TraceState::NONE)
    }

    fn records(sampling: Sampling, parent: &Context, links: &[Link]) -> bool {
        let (sampler, kind) = (sampling.sampler(), SpanKind::Consumer);
        let of_trace = TraceId::from(u128::MAX);
        let result = sampler.should_sample(Some(parent), of_trace, "x", &kind, &[], links);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn a_batch_is_recorded_if_one_of_its_messages_is() {
        let few = Sampling { roots: Roots::Share(0.0), by_parent: true };
        let left_out = Link::with_context(origin(TraceFlags::default()));
        let recorded = Link::with_context(origin(TraceFlags::SAMPLED));
        let nothing = Context::new();
        assert!(!records(few, &nothing, &[]));
        assert!(!records(few, &nothing, std::slice::from_ref(&left_out)));
        assert!(records(few, &nothing, &[left_out, recorded.clone()]));
        assert!(records(few, &Context::new().with_value(Worthy), &[]));
        let off = Sampling { roots: Roots::None, by_parent: true };
        assert!(!records(off, &nothing, std::slice::from_ref(&recorded)));
        let by_ratio_alone = Sampling { roots: Roots::Share(0.0), by_parent: false };
        assert!(!records(by_ratio_alone, &nothing, &[recorded]));
    }

    #[test]
    fn a_trace_goes_on_as_it_began() {
        let few = Sampling { roots: Roots::Share(0.0), by_parent: true };
        let all = Sampling { roots: Roots::All, by_parent: true };
        let after = |flags| Context::new().with_remote_span_context(origin(flags));
        assert!(records(few, &after(TraceFlags::SAMPLED), &[]));
        assert!(!records(all, &after(TraceFlags::default()), &[]));
    }
}
