//! Counts for the heartbeat and for `status`: what was done with commands, and what was refused.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::CommandReport;
use protocol::command::{CommandOutcome, ReasonCode};

use super::{DeviceCommands, Runner};
use crate::Trouble;

#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    ended: BTreeMap<&'static str, u64>,
    refused: BTreeMap<&'static str, u64>,
    /// Why commands are not taken now.
    trouble: Option<String>,
}

impl Counts {
    pub(super) fn ended(&self, outcome: CommandOutcome) {
        // What is rejected is counted with its reason.
        if outcome != CommandOutcome::Rejected {
            *self.lock().ended.entry(outcome.as_str()).or_default() += 1;
        }
    }

    pub(super) fn refused(&self, code: ReasonCode) {
        *self.lock().refused.entry(code.as_str()).or_default() += 1;
    }

    /// Why commands are not taken now; `None`: they are. Logged when it changes.
    pub(super) fn trouble(&self, trouble: Option<String>) {
        let mut counted = self.lock();
        if counted.trouble == trouble {
            return;
        }
        match &trouble {
            Some(reason) => tracing::warn!(reason, "commands are not taken now, and wait"),
            None => tracing::info!("commands are taken again"),
        }
        counted.trouble = trouble;
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Runner> DeviceCommands<R> {
    /// What stands in a heartbeat.
    #[must_use]
    pub fn report(&self) -> CommandReport {
        let desk = self.desk();
        let (waiting, running) = (desk.waiting.len() as u64, desk.running.len() as u64);
        drop(desk);
        let counted = self.0.counts.lock();
        let named = |counts: &BTreeMap<&'static str, u64>| {
            counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        CommandReport {
            waiting,
            running,
            ended: named(&counted.ended),
            refused: named(&counted.refused),
        }
    }

    /// What keeps commands from being taken, if anything.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        let reason = self.0.counts.lock().trouble.clone()?;
        let remedy = "mend the disk, the folder's rights or the keys; it is tried again by itself";
        Some(Trouble::new(format!("commands are not taken: {reason}"), remedy))
    }
}
