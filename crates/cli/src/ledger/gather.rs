//! Where the books are read: Postgres, the notes in Redis that wait for it, and the dead letters.

use std::collections::HashMap;

use anyhow::Context as _;
use broker::Broker;
use broker::dead_letters::LetterFilter;
use protocol::{DeviceId, DeviceSubject, KindCounts, MessageId, TenantId, UnixMillis, headers};
use storage::{DeviceSession, LedgerPlace, LedgerRow, Records, Rings};

use super::balance::{Account, Ranges};
use crate::environment::{INBOUND, PUT_OFF};

/// The accounts of one session, in the order of [`INBOUND`].
pub(super) type Accounts = [Account; INBOUND.len()];

/// Where [`INBOUND`] has the metrics.
const METRICS_PLACE: usize = 0;

type Numbers = HashMap<DeviceSession, [Vec<(u64, u64)>; INBOUND.len()]>;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose {
    pub(super) tenant: Option<TenantId>,
    pub(super) device: Option<DeviceId>,
    /// Only runs that began since, by the device's clock.
    pub(super) since: Option<UnixMillis>,
}

impl Whose {
    fn has(self, of: &DeviceSession) -> bool {
        self.tenant.is_none_or(|tenant| tenant == of.tenant)
            && self.device.is_none_or(|device| device == of.device)
            && self.since.is_none_or(|since| of.session.began().is_some_and(|at| at >= since))
    }
}

/// The books, read page by page.
pub(super) struct Books {
    whose: Whose,
    records: Records,
    /// Up to when each stream is settled, by the broker's clock.
    pub(super) settled_until: [UnixMillis; INBOUND.len()],
    parked: Numbers,
    noted: Numbers,
    after: Option<LedgerPlace>,
    at_end: bool,
}

impl Books {
    /// Reads everything but Postgres, in an order in which nothing is overlooked: what moves from
    /// one place to the other meanwhile is seen in both.
    pub(super) async fn open(
        whose: Whose,
        broker: &Broker,
        rings: &Rings,
        records: Records,
    ) -> anyhow::Result<Self> {
        let mut settled_until = [UnixMillis::new(0); INBOUND.len()];
        for (until, (stream, consumer, _)) in settled_until.iter_mut().zip(INBOUND) {
            let found = broker.applied_until(stream, consumer).await;
            *until = found.with_context(|| format!("looking at {stream}"))?;
        }
        let (stream, consumer) = PUT_OFF;
        let put_off = broker.consumer_state(stream, consumer).await;
        if !put_off.with_context(|| format!("looking at {stream}"))?.is_drained() {
            // They have left their own stream and are not stored yet: nothing tells which.
            settled_until[METRICS_PLACE] = UnixMillis::new(0);
        }
        let mut parked = Numbers::new();
        read_letters(whose, broker, &mut parked).await?;
        let discarded = records.discarded_letters(whose.tenant, whose.device).await;
        for (subject, id) in discarded.context("reading the audit log")? {
            note_letter(&subject, &id, &mut parked);
        }
        let mut noted = Numbers::new();
        read_notes(whose, rings, &mut noted).await?;
        Ok(Self { whose, records, settled_until, parked, noted, after: None, at_end: false })
    }

    /// Some more sessions in the order of tenant, device and session; those that only Redis or the
    /// dead letters know of come last. `None`: that was all.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Vec<(DeviceSession, Accounts)>>> {
        if self.at_end {
            return Ok(self.rest());
        }
        let Whose { tenant, device, .. } = self.whose;
        let page = self.records.ledger(tenant, device, self.after).await;
        let (rows, next) = page.context("reading the books")?;
        (self.after, self.at_end) = (next, next.is_none());
        let meant = rows.into_iter().filter(|row| self.whose.has(&row.of));
        let meant: Vec<LedgerRow> = meant.collect();
        Ok(Some(meant.into_iter().map(|row| (row.of, self.accounts(row))).collect()))
    }

    fn rest(&mut self) -> Option<Vec<(DeviceSession, Accounts)>> {
        let mut left: Vec<DeviceSession> =
            self.noted.keys().chain(self.parked.keys()).copied().collect();
        left.retain(|of| self.whose.has(of));
        left.sort_unstable();
        left.dedup();
        let row = |of| LedgerRow { of, told: None, stored: Vec::new() };
        let rest: Vec<_> = left.into_iter().map(|of| (of, self.accounts(row(of)))).collect();
        (!rest.is_empty()).then_some(rest)
    }

    fn accounts(&mut self, row: LedgerRow) -> Accounts {
        let mut parked = self.parked.remove(&row.of).unwrap_or_default();
        let mut noted = self.noted.remove(&row.of).unwrap_or_default();
        let mut accounts = Accounts::default();
        for (place, (_, _, kind)) in INBOUND.iter().enumerate() {
            let account = &mut accounts[place];
            let mut stored = std::mem::take(&mut noted[place]);
            if let Some(numbers) = row.stored.iter().find(|numbers| numbers.kind == *kind) {
                stored.extend(numbers.runs.iter().map(|run| (run.first, run.last)));
                account.incomplete = !numbers.complete;
            }
            account.stored = Ranges::of(stored);
            account.parked = Ranges::of(std::mem::take(&mut parked[place]));
            if let Some((at, told)) = &row.told {
                account.sent = count(&told.sent, kind);
                account.spooled = count(&told.spooled, kind);
                account.dropped = count(&told.dropped, kind);
                account.settled = *at < self.settled_until[place];
            }
        }
        accounts
    }
}

fn count(counts: &KindCounts, kind: &str) -> u64 {
    match kind {
        "metric" => counts.metric,
        "heartbeat" => counts.heartbeat,
        "monitoring" => counts.monitoring,
        _ => counts.response,
    }
}

async fn read_letters(whose: Whose, broker: &Broker, parked: &mut Numbers) -> anyhow::Result<()> {
    let tenant = whose.tenant.map(|tenant| tenant.to_string());
    let device = whose.device.map(|device| device.to_string());
    let filter = LetterFilter::new(None, None, tenant.as_deref(), device.as_deref())?;
    let mut from = Some(1);
    while let Some(sequence) = from {
        let page = broker.dead_letters(&filter, sequence).await.context("reading dead letters")?;
        for letter in &page.letters {
            note_letter(
                letter.header(headers::SUBJECT),
                letter.header(headers::MESSAGE_ID),
                parked,
            );
        }
        from = page.next;
    }
    Ok(())
}

/// A message without a number, or on a subject of nobody's, is in nobody's books.
fn note_letter(subject: &str, id: &str, parked: &mut Numbers) {
    let Ok(subject) = subject.parse::<DeviceSubject>() else { return };
    let kind = subject.kind().name();
    let number = id.parse::<MessageId>().ok().and_then(|id| id.number(kind));
    let place = INBOUND.iter().position(|(_, _, known)| *known == kind);
    if let (Some(number), Some(place)) = (number, place) {
        let (tenant, device) = (subject.tenant(), subject.device());
        let of = DeviceSession { tenant, device, session: number.session };
        parked.entry(of).or_default()[place].push((number.counter, number.counter));
    }
}

async fn read_notes(whose: Whose, rings: &Rings, noted: &mut Numbers) -> anyhow::Result<()> {
    let metrics = INBOUND.iter().position(|(_, _, kind)| *kind == "metric").unwrap_or_default();
    let mut cursor = 0;
    loop {
        let (next, notes) = rings.notes(cursor).await.context("reading the books of metrics")?;
        for run in notes.iter().flat_map(storage::Note::runs).filter(|run| whose.has(&run.of)) {
            noted.entry(run.of).or_default()[metrics].push((run.first, run.last));
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}
