//! Earlier runs of the agent whose books are not closed yet.
//!
//! Promises: a run stays until a heartbeat with its final counts is confirmed. Refuses: more than
//! [`SESSIONS_MAX`]; then the oldest is forgotten, which costs no message, only its line in the
//! books.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::limits::EARLIER_SESSIONS_MAX;
use protocol::{EarlierSession, KindCounts, SessionId};

use crate::class::Class;

/// Earlier runs that are remembered.
const SESSIONS_MAX: usize = 128;
const FILE: &str = "sessions.json";
const FILE_NEW: &str = "sessions.json.new";

#[derive(Debug)]
struct Earlier {
    sent: KindCounts,
    dropped: KindCounts,
    /// The heartbeat of this run that tells its final counts.
    told_in: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Sessions {
    path: PathBuf,
    path_new: PathBuf,
    by_id: BTreeMap<SessionId, Earlier>,
    changed: bool,
}

/// The count of one kind.
pub(crate) const fn count_mut(counts: &mut KindCounts, class: Class) -> &mut u64 {
    match class {
        Class::Heartbeat => &mut counts.heartbeat,
        Class::Response => &mut counts.response,
        Class::Monitoring => &mut counts.monitoring,
        Class::Metric => &mut counts.metric,
    }
}

impl Sessions {
    /// Reads what an earlier run wrote; what cannot be read is forgotten.
    pub(super) fn load(dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE);
        let known: Vec<EarlierSession> = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(file = %path.display(), %error, "earlier runs are forgotten");
                Vec::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let by_id = known.into_iter().map(|known| {
            let EarlierSession { session_id, sent, dropped, .. } = known;
            (session_id, Earlier { sent, dropped, told_in: None })
        });
        Ok(Self { path, path_new: dir.join(FILE_NEW), by_id: by_id.collect(), changed: false })
    }

    pub(super) fn knows(&self, session: SessionId) -> bool {
        self.by_id.contains_key(&session)
    }

    /// Numbers up to `given` were given out in `session`.
    pub(super) fn note_sent(&mut self, session: SessionId, class: Class, given: u64) {
        let earlier = self.entry(session);
        let sent = count_mut(&mut earlier.sent, class);
        if *sent < given {
            *sent = given;
            self.changed = true;
        }
    }

    /// Messages of `session` were given up.
    pub(crate) fn note_dropped(&mut self, session: SessionId, class: Class, count: u64) {
        if count > 0 {
            let earlier = self.entry(session);
            *count_mut(&mut earlier.dropped, class) += count;
            earlier.told_in = None;
            self.changed = true;
        }
    }

    fn entry(&mut self, session: SessionId) -> &mut Earlier {
        if self.by_id.len() >= SESSIONS_MAX
            && !self.by_id.contains_key(&session)
            && let Some((forgotten, _)) = self.by_id.pop_first()
        {
            tracing::warn!(session = %forgotten, "too many earlier runs; this one is forgotten");
        }
        let empty =
            Earlier { sent: KindCounts::default(), dropped: KindCounts::default(), told_in: None };
        self.by_id.entry(session).or_insert(empty)
    }

    /// The oldest, as heartbeat number `telling` is about to tell them; `spooled` is what each
    /// still has on disk.
    pub(crate) fn tell(
        &mut self,
        telling: u64,
        spooled: &BTreeMap<SessionId, KindCounts>,
    ) -> Vec<EarlierSession> {
        let mut told = Vec::new();
        for (id, earlier) in self.by_id.iter_mut().take(EARLIER_SESSIONS_MAX) {
            let spooled = spooled.get(id).copied().unwrap_or_default();
            if spooled.is_zero() {
                earlier.told_in = earlier.told_in.or(Some(telling));
            }
            let (sent, dropped) = (earlier.sent, earlier.dropped);
            told.push(EarlierSession { session_id: *id, sent, spooled, dropped });
        }
        told
    }

    /// A heartbeat is confirmed: what it told is known now.
    pub(crate) fn heartbeat_confirmed(&mut self, number: u64) {
        let before = self.by_id.len();
        self.by_id.retain(|_, earlier| earlier.told_in.is_none_or(|told| told != number));
        self.changed |= self.by_id.len() != before;
    }

    /// Writes them where they changed, whole or not at all.
    pub(super) fn save(&mut self) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        let list: Vec<EarlierSession> = self
            .by_id
            .iter()
            .map(|(id, earlier)| EarlierSession {
                session_id: *id,
                sent: earlier.sent,
                spooled: KindCounts::default(),
                dropped: earlier.dropped,
            })
            .collect();
        fs::write(&self.path_new, serde_json::to_vec(&list)?)?;
        fs::rename(&self.path_new, &self.path)?;
        self.changed = false;
        Ok(())
    }
}
