//! The books of metric points: noted in Redis beside the rings, so that points never wait for
//! Postgres, and moved to Postgres from there.
//!
//! One hash, a field a session, its note as text such as `1-500,502-600`. Promises: a point is noted
//! after it is in its ring; a note leaves Redis only after Postgres has it; a note takes at most
//! [`NOTE_MAX_BYTES`].

use std::collections::BTreeSet;

use protocol::TenantId;
use redis::Pipeline;

use super::{DeviceSession, NumberRun};
use crate::outcome::Unavailable;
use crate::rings::Rings;

const NOTE: &str = include_str!("note.lua");
const FORGET: &str = include_str!("forget.lua");
/// Most bytes of a session's note: some three hundred gaps since it was last moved.
const NOTE_MAX_BYTES: usize = 4 * 1024;
/// Notes that are asked for at one time.
const NOTES_A_STEP: usize = 500;

/// What Redis has noted of one session and Postgres may not have yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    session: String,
    text: String,
}

impl Note {
    /// The numbers; none where the note is not ours.
    #[must_use]
    pub fn runs(&self) -> Vec<NumberRun> {
        let Some(of) = session(&self.session) else { return Vec::new() };
        let mut runs = Vec::new();
        for run in self.text.trim_start_matches('!').split(',') {
            let Some((first, last)) = run.split_once('-') else { continue };
            if let (Ok(first), Ok(last)) = (first.parse(), last.parse())
                && first <= last
                && last <= protocol::limits::COUNTER_MAX
            {
                runs.push(NumberRun { of, first, last });
            }
        }
        runs
    }

    /// The session whose gaps did not fit, so that numbers are left out.
    #[must_use]
    pub fn incomplete(&self) -> Option<DeviceSession> {
        session(&self.session).filter(|_| self.text.starts_with('!'))
    }
}

fn session(text: &str) -> Option<DeviceSession> {
    let mut ids = text.split(':');
    let (tenant, device, session) = (ids.next()?, ids.next()?, ids.next()?);
    let of = DeviceSession {
        tenant: tenant.parse().ok()?,
        device: device.parse().ok()?,
        session: session.parse().ok()?,
    };
    ids.next().is_none().then_some(of)
}

impl Rings {
    fn ledger_key(&self) -> String {
        format!("{}:ledger", self.prefix())
    }

    /// Adds what notes that these points are in their rings.
    pub(crate) fn add_note(&self, pipeline: &mut Pipeline, runs: &[NumberRun]) {
        if runs.is_empty() {
            return;
        }
        pipeline.cmd("EVAL").arg(NOTE).arg(1).arg(self.ledger_key()).arg(NOTE_MAX_BYTES);
        for NumberRun { of, first, last } in runs {
            let DeviceSession { tenant, device, session } = of;
            pipeline.arg(format!("{tenant}:{device}:{session}")).arg(*first).arg(*last);
        }
    }

    /// The notes from `cursor` on (0: the first) and the cursor of the next; 0 after the last. A
    /// note may come twice.
    ///
    /// # Errors
    /// Redis is away or ill.
    pub async fn notes(&self, cursor: u64) -> Result<(u64, Vec<Note>), Unavailable> {
        let mut scan = redis::cmd("HSCAN");
        scan.arg(self.ledger_key()).arg(cursor).arg("COUNT").arg(NOTES_A_STEP);
        let (next, pairs): (u64, Vec<(String, String)>) = self.ask(&scan).await?;
        let notes = pairs.into_iter().map(|(session, text)| Note { session, text });
        Ok((next, notes.collect()))
    }

    /// How many sessions of a tenant have notes.
    ///
    /// # Errors
    /// Redis is away or ill.
    pub async fn count_notes_of(&self, tenant: TenantId) -> Result<u64, Unavailable> {
        Ok(u64::try_from(self.sessions_of(tenant).await?.len()).unwrap_or(u64::MAX))
    }

    /// Removes every note of a tenant, whether Postgres has it or not.
    ///
    /// # Errors
    /// Redis is away or ill; a repetition does the rest.
    pub async fn remove_notes_of(&self, tenant: TenantId) -> Result<(), Unavailable> {
        for sessions in self.sessions_of(tenant).await?.chunks(NOTES_A_STEP) {
            let mut remove = redis::cmd("HDEL");
            remove.arg(self.ledger_key()).arg(sessions);
            let _: u64 = self.ask(&remove).await?;
        }
        Ok(())
    }

    async fn sessions_of(&self, tenant: TenantId) -> Result<Vec<String>, Unavailable> {
        let (mut cursor, mut found) = (0, BTreeSet::new());
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(self.ledger_key()).arg(cursor);
            scan.arg("MATCH").arg(format!("{tenant}:*")).arg("COUNT").arg(NOTES_A_STEP);
            let (next, pairs): (u64, Vec<(String, String)>) = self.ask(&scan).await?;
            found.extend(pairs.into_iter().map(|(session, _)| session));
            if next == 0 {
                return Ok(found.into_iter().collect());
            }
            cursor = next;
        }
    }

    /// Removes notes that Postgres has; one that was added to meanwhile stays.
    ///
    /// # Errors
    /// Redis is away or ill; the notes are moved again then, which counts nothing twice.
    pub async fn forget_notes(&self, notes: &[Note]) -> Result<(), Unavailable> {
        if notes.is_empty() {
            return Ok(());
        }
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("EVAL").arg(FORGET).arg(1).arg(self.ledger_key());
        for Note { session, text } in notes {
            pipeline.arg(session).arg(text);
        }
        self.all(&mut pipeline).await
    }
}
