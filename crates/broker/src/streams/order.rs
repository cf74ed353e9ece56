//! The order in which streams take each other's subjects.
//!
//! Promises: a stream that captures a subject comes after the one that gives it up, since the
//! server lets no two streams capture one subject. Refuses: two streams that exchange subjects;
//! no order of single requests does that.

use super::difference::{Work, stream_object};
use super::server::Found;
use super::{DesiredStream, subjects, words};
use crate::plan::{Change, Effect};

/// A declared stream, what it captures now, and what is to be done with it.
pub(super) struct Pending<'a> {
    pub(super) stream: &'a DesiredStream,
    pub(super) existing: Option<&'a Found>,
    pub(super) work: Work,
}

impl Pending<'_> {
    /// Whether this one wants what the other captures as long as it is not changed.
    fn waits_for(&self, other: &Self) -> bool {
        let held = other.existing.map(|found| words(&found.config, "subjects")).unwrap_or_default();
        let wanted = words(&self.stream.config, "subjects");
        wanted.iter().any(|wanted| held.iter().any(|held| subjects::meet(wanted, held)))
    }
}

/// All work in an order that the server takes.
pub(super) fn ordered(mut pending: Vec<Pending<'_>>) -> Work {
    let mut work = Work::default();
    while !pending.is_empty() {
        let free = (0..pending.len()).find(|index| {
            let others = pending.iter().enumerate().filter(|(other, _)| other != index);
            others.into_iter().all(|(_, other)| !pending[*index].waits_for(other))
        });
        let next = pending.remove(free.unwrap_or_default());
        work = work.then(next.work);
        if free.is_none() {
            work.plan.changes.push(exchange(next.stream));
        }
    }
    work
}

fn exchange(stream: &DesiredStream) -> Change {
    let remedy = "it takes a subject from a stream that takes one from it; leave that subject out in one apply and add it in the next";
    Change {
        object: stream_object(&stream.name),
        field: "subjects".to_owned(),
        before: None,
        after: Some(words(&stream.config, "subjects").into()),
        effect: Effect::Immutable { remedy: remedy.to_owned() },
    }
}
