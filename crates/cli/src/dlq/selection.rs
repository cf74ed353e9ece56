//! Which letters a verb is about: sequences, or filters; read page by page.
//!
//! Promises: letters that are parked after the verb began are not met, so that a replayed message
//! that is parked again is not sent in a circle.

use std::collections::VecDeque;

use anyhow::{Context as _, bail};
use broker::Broker;
use broker::dead_letters::{Letter, LetterFilter, STREAM};
use clap::Args;
use protocol::UnixMillis;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::output;

/// Filters; what is not given does not matter.
#[derive(Args, Debug)]
pub(crate) struct Filters {
    /// Stream of the original, such as RESPONSES.
    #[arg(long)]
    stream: Option<String>,
    /// Reason code, such as row_rejected.
    #[arg(long)]
    reason: Option<String>,
    /// Tenant (UUID), or unknown.
    #[arg(long)]
    tenant: Option<String>,
    /// Device (UUID), or unknown.
    #[arg(long)]
    device: Option<String>,
    /// Parked at this time or later: RFC 3339, or an age such as 90s, 30m, 2h, 7d.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<UnixMillis>,
    /// Parked before this time: RFC 3339, or an age such as 90s, 30m, 2h, 7d.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<UnixMillis>,
}

impl Filters {
    /// Checks them.
    pub(crate) fn read(&self) -> anyhow::Result<LetterFilter> {
        let (stream, reason) = (self.stream.as_deref(), self.reason.as_deref());
        let mut filter =
            LetterFilter::new(stream, reason, self.tenant.as_deref(), self.device.as_deref())?;
        filter.since = self.since;
        filter.until = self.until;
        Ok(filter)
    }
}

/// Letters to change: named one by one, filtered, or all.
#[derive(Args, Debug)]
pub(crate) struct Selection {
    /// Sequences of letters, as `list` shows them.
    #[arg(value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    sequences: Vec<u64>,
    #[command(flatten)]
    filters: Filters,
    /// At most this many, the oldest first.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Every letter: needed where neither SEQ nor a filter is given.
    #[arg(long)]
    all: bool,
}

impl Selection {
    /// Begins to read the letters that are meant.
    pub(crate) async fn walk<'a>(&self, broker: &'a Broker) -> anyhow::Result<Walk<'a>> {
        let filter = self.filters.read()?;
        let limit = self.limit.unwrap_or(u64::MAX);
        if self.sequences.is_empty() {
            if filter.is_everything() && !self.all {
                bail!("say which letters: give sequences, a filter such as --reason, or --all");
            }
            return Walk::of_filter(broker, filter, limit).await;
        }
        if self.all || !filter.is_everything() {
            bail!("give sequences or filters, not both");
        }
        let source = Source::Sequences(self.sequences.iter().copied().collect());
        Ok(Walk { broker, source, left: limit })
    }
}

#[derive(Clone)]
enum Source {
    Sequences(VecDeque<u64>),
    Filter { filter: LetterFilter, next: Option<u64>, last: u64 },
}

/// Letters on their way, a page at a time.
#[derive(Clone)]
pub(crate) struct Walk<'a> {
    broker: &'a Broker,
    source: Source,
    left: u64,
}

impl<'a> Walk<'a> {
    /// The letters of a filter that are there now, oldest first.
    pub(crate) async fn of_filter(
        broker: &'a Broker,
        filter: LetterFilter,
        limit: u64,
    ) -> anyhow::Result<Self> {
        let state = broker.stream_state(STREAM).await.context("looking at the dead letters")?;
        let source = Source::Filter { filter, next: Some(1), last: state.last_sequence };
        Ok(Self { broker, source, left: limit })
    }

    /// How many there are, at most; `None` where only reading tells.
    pub(crate) async fn total(&self) -> anyhow::Result<Option<u64>> {
        let total = match &self.source {
            Source::Sequences(sequences) => u64::try_from(sequences.len())?,
            Source::Filter { filter, .. } if filter.has_time() => return Ok(None),
            Source::Filter { filter, .. } => {
                let counts = self.broker.dead_letter_counts(filter).await;
                let counts = counts.context("counting dead letters")?;
                counts.iter().map(|count| count.letters).sum()
            }
        };
        Ok(Some(total.min(self.left)))
    }

    /// Ends with that letter.
    pub(crate) fn end_at(&mut self, sequence: u64) {
        if let Source::Filter { last, .. } = &mut self.source {
            *last = sequence;
        }
    }

    /// The next letters, never none; `None` at the end.
    pub(crate) async fn page(&mut self) -> anyhow::Result<Option<Vec<Letter>>> {
        while self.left > 0 {
            let Some(mut letters) = self.read().await.context("reading dead letters")? else {
                return Ok(None);
            };
            letters.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= u64::try_from(letters.len())?;
            if !letters.is_empty() {
                return Ok(Some(letters));
            }
        }
        Ok(None)
    }

    async fn read(&mut self) -> anyhow::Result<Option<Vec<Letter>>> {
        match &mut self.source {
            Source::Sequences(sequences) => {
                let Some(sequence) = sequences.pop_front() else {
                    return Ok(None);
                };
                let found = self.broker.dead_letter(sequence).await?;
                if found.is_none() {
                    output::note(&format!("letter {sequence} is not there, or no longer"));
                }
                Ok(Some(found.into_iter().collect()))
            }
            Source::Filter { filter, next, last } => {
                let Some(from) = *next else {
                    return Ok(None);
                };
                let mut page = self.broker.dead_letters(filter, from).await?;
                page.letters.retain(|letter| letter.sequence <= *last);
                *next = page.next.filter(|next| *next <= *last);
                Ok(Some(page.letters))
            }
        }
    }
}

/// RFC 3339, or how long ago.
pub(crate) fn time(text: &str) -> Result<UnixMillis, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        let milliseconds = time.unix_timestamp_nanos() / 1_000_000;
        return i64::try_from(milliseconds).map(UnixMillis::new).map_err(|error| error.to_string());
    }
    ago(text).map(|ago| UnixMillis::new(UnixMillis::now().get().saturating_sub(ago))).ok_or_else(
        || {
            "give a time such as 2026-09-24T06:14:30Z, or an age such as 90s, 30m, 2h, 7d"
                .to_owned()
        },
    )
}

/// Milliseconds of a span such as 90s, 30m, 2h, 7d.
pub(crate) fn ago(text: &str) -> Option<i64> {
    let unit_ms = match text.chars().last()? {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    let count: i64 = text.get(..text.len() - 1)?.parse().ok()?;
    count.checked_mul(unit_ms).filter(|ago| *ago >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_exact_or_an_age() {
        assert_eq!(time("2026-09-24T06:14:30.084Z"), Ok(UnixMillis::new(1_790_230_470_084)));
        assert_eq!(time("2026-09-24T08:14:30.084+02:00"), Ok(UnixMillis::new(1_790_230_470_084)));
        assert_eq!(ago("2h"), Some(7_200_000));
        for bad in ["", "h", "-1h", "2 hours", "yesterday", "2é"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
