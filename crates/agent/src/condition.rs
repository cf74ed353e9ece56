//! How the agent fares: what stands in its heartbeats and what `status` prints, from one place.

use std::collections::BTreeMap;
use std::time::Instant;

use broker::{Link, Outbox, Sender, SpoolStanding, Trouble};
use protocol::{
    CollectorReport, DeviceId, HeartbeatStatus, Labels, SessionId, TenantId, UnixMillis,
};
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::collect::Journal;
use crate::command::Commands;

/// Credentials that end within this and were not renewed are a trouble.
const CREDENTIALS_END_SOON_SECONDS: i64 = 24 * 3_600;

/// What the agent knows of itself; cheap to clone.
#[derive(Clone)]
pub(crate) struct Condition {
    sender: Sender,
    outbox: Outbox,
    journal: Journal,
    link: Link,
    clock: Clock,
    commands: Commands,
    started: Instant,
}

/// What it says of itself on this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) agent_version: String,
    pub(crate) tenant: TenantId,
    pub(crate) device: DeviceId,
    pub(crate) session: SessionId,
    pub(crate) pid: u32,
    /// When this was written, by this machine's clock.
    pub(crate) written_ms: UnixMillis,
    /// Since when the connection does or does not stand.
    pub(crate) link_since_ms: UnixMillis,
    /// When the credentials end; absent: never, or they were not shown yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) credentials_expire_ms: Option<UnixMillis>,
    pub(crate) labels: BTreeMap<String, String>,
    /// Why no command is taken, and what would change that; absent: they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) commands_refused: Option<String>,
    /// All that is wrong now.
    pub(crate) troubles: Vec<Trouble>,
    /// As it stands in the heartbeat.
    pub(crate) status: HeartbeatStatus,
}

impl Condition {
    pub(crate) fn new(sender: Sender, outbox: Outbox) -> Self {
        Self {
            sender,
            outbox,
            journal: Journal::default(),
            link: Link::default(),
            clock: Clock::default(),
            commands: Commands::new(),
            started: Instant::now(),
        }
    }

    /// What was handed over and what became of it.
    pub(crate) const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// How the connection fares.
    pub(crate) const fn link(&self) -> &Link {
        &self.link
    }

    /// How this device's clock goes.
    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What commands come to.
    pub(crate) const fn commands(&self) -> &Commands {
        &self.commands
    }

    /// How each collector fares.
    pub(crate) const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What stands in a heartbeat.
    pub(crate) fn status(&self) -> HeartbeatStatus {
        let state = self.link.state();
        let mut status = HeartbeatStatus {
            uptime: self.started.elapsed().as_secs(),
            reconnects: self.link.connections().borrow().saturating_sub(1),
            clock_offset_ms: self.clock.offset_ms(),
            collectors: self.journal.reports(),
            commands: self.commands.report(),
            ..HeartbeatStatus::default()
        };
        self.outbox.tell(&mut status);
        status.connected = state.connected;
        if let Some(trouble) = state.trouble {
            status.last_error = Some(trouble.to_string());
        }
        status
    }

    /// All that there is to say, to somebody at this machine.
    pub(crate) fn report(&self, labels: &Labels) -> Report {
        let state = self.link.state();
        let expire = state.credentials_expire.map(|end| UnixMillis::new(end.as_i64() * 1_000));
        let written_ms = UnixMillis::now();
        let mut troubles: Vec<Trouble> = state.trouble.into_iter().collect();
        let unconfirmed = self.outbox.figures().troubles;
        if state.connected {
            troubles
                .extend(unconfirmed.into_iter().map(|(kind, reason)| not_confirmed(kind, &reason)));
        }
        // Without a connection it is said already.
        troubles
            .extend(expire.filter(|_| state.connected).and_then(|end| ends_soon(end, written_ms)));
        troubles.extend(self.clock.trouble());
        troubles.extend(self.commands.trouble());
        troubles.extend(of_spool(&self.outbox));
        let mut status = self.status();
        // That is the next heartbeat.
        status.sent.heartbeat -= 1;
        troubles.extend(of_collectors(&status.collectors));
        Report {
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            tenant: self.sender.tenant,
            device: self.sender.device,
            session: self.sender.session,
            pid: std::process::id(),
            written_ms,
            link_since_ms: state.since,
            credentials_expire_ms: expire,
            labels: labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            commands_refused: self.commands.refused(),
            troubles,
            status,
        }
    }
}

fn not_confirmed(kind: &str, reason: &str) -> Trouble {
    let remedy = "they are kept and sent again; look at the broker with wegweiser doctor";
    Trouble::new(format!("{kind} messages are not confirmed: {reason}"), remedy)
}

fn ends_soon(end: UnixMillis, now: UnixMillis) -> Option<Trouble> {
    let left = end.since(now) / 1_000;
    if left > CREDENTIALS_END_SOON_SECONDS {
        return None;
    }
    let what = if left <= 0 {
        "the credentials have ended".to_owned()
    } else {
        format!("the credentials end in {} h {} min", left / 3_600, left % 3_600 / 60)
    };
    Some(Trouble::new(what, "have new ones issued and put them in the place of the old"))
}

fn of_spool(outbox: &Outbox) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    if let SpoolStanding::Faulty(reason) = outbox.standing() {
        let what = format!("the spool cannot be used, so messages wait in memory only: {reason}");
        let remedy = "mend the disk or the folder's rights, or name another spool.dir; it is tried \
                      again by itself";
        troubles.push(Trouble::new(what, remedy));
    }
    for path in outbox.set_aside() {
        let what = format!("a file of the spool was damaged and is set aside: {}", path.display());
        let remedy = "what could be read goes on; look at the disk, then remove the file";
        troubles.push(Trouble::new(what, remedy));
    }
    troubles
}

fn of_collectors(reports: &BTreeMap<String, CollectorReport>) -> Vec<Trouble> {
    let failing = reports.iter().filter_map(|(name, report)| Some((name, report.error.as_ref()?)));
    failing
        .map(|(name, error)| {
            let remedy = "mend it, or switch the collector off in the configuration";
            Trouble::new(format!("collector {name}: {error}"), remedy)
        })
        .collect()
}
