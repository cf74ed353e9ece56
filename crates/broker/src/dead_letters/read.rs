//! Reading letters page by page, straight from the stream: no consumer is left behind.
//!
//! Promises: a page has every letter between its first and its last; what a cut connection took
//! away is noticed and the page is asked for again.

use std::time::Duration;

use async_nats::Message;
use futures::StreamExt as _;
use protocol::UnixMillis;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Letter, LetterFilter, STREAM};
use crate::Broker;

/// Letters of one page.
const PAGE_LETTERS_MAX: u64 = 256;
/// Bytes of one page; the letter that crosses it is the last.
const PAGE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Longest wait for the next letter of a page.
const LETTER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a page that was cut is asked for.
const PAGE_ATTEMPTS: usize = 3;

const END_OF_BATCH: u16 = 204;
const NOT_FOUND: u16 = 404;
const NO_RESPONDERS: u16 = 503;

/// The dead letters cannot be read or changed now.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// There is no such stream, or it cannot be asked directly.
    #[error("no stream {STREAM} answers; run `wegweiser streams apply`")]
    NoStream,
    /// Some of what was asked for did not arrive.
    #[error("the connection was cut while reading {STREAM}; run it again")]
    Cut,
    /// Anything else that the broker said.
    #[error("the broker refused to {what}: {reason}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// Its answer.
        reason: String,
    },
}

impl LetterError {
    pub(super) fn refused(what: &'static str) -> impl FnOnce(&dyn std::fmt::Display) -> Self {
        move |reason| Self::Refused { what, reason: reason.to_string() }
    }
}

/// Some letters, oldest first.
#[derive(Debug)]
pub struct LetterPage {
    /// The letters.
    pub letters: Vec<Letter>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<u64>,
}

impl Broker {
    /// The letters of a filter, from sequence `from` on (1: the first).
    ///
    /// # Errors
    /// See [`LetterError`].
    pub async fn dead_letters(
        &self,
        filter: &LetterFilter,
        from: u64,
    ) -> Result<LetterPage, LetterError> {
        let mut question = json!({
            "next_by_subj": filter.subject(),
            "batch": PAGE_LETTERS_MAX,
            "max_bytes": PAGE_BYTES_MAX,
        });
        match filter.since {
            Some(since) if from <= 1 => question["start_time"] = json!(rfc3339(since)),
            _ => question["seq"] = json!(from.max(1)),
        }
        let mut page = Err(LetterError::Cut);
        for _ in 0..PAGE_ATTEMPTS {
            page = self.page(&question).await;
            if !matches!(page, Err(LetterError::Cut)) {
                break;
            }
        }
        let mut page = page?;
        // Letters lie in the order of the broker's time.
        if let Some(until) = filter.until
            && let Some(beyond) = page.letters.iter().position(|letter| letter.parked >= until)
        {
            page.letters.truncate(beyond);
            page.next = None;
        }
        Ok(page)
    }

    /// The letter of that sequence.
    ///
    /// # Errors
    /// See [`LetterError`].
    pub async fn dead_letter(&self, sequence: u64) -> Result<Option<Letter>, LetterError> {
        let question = json!({ "seq": sequence, "next_by_subj": "dead.>", "batch": 1 });
        let page = self.page(&question).await?;
        Ok(page.letters.into_iter().find(|letter| letter.sequence == sequence))
    }

    async fn page(&self, question: &Value) -> Result<LetterPage, LetterError> {
        const WHAT: &str = "read dead letters";
        let refused = LetterError::refused;
        let inbox = self.client().new_inbox();
        let replies = self.client().subscribe(inbox.clone()).await;
        let mut replies = replies.map_err(|error| refused(WHAT)(&error))?;
        let subject = format!("$JS.API.DIRECT.GET.{STREAM}");
        let asked = self.client().publish_with_reply(subject, inbox, question.to_string().into());
        asked.await.map_err(|error| refused(WHAT)(&error))?;
        let mut letters: Vec<Letter> = Vec::new();
        loop {
            let reply = tokio::time::timeout(LETTER_TIMEOUT, replies.next()).await;
            let reply = reply.ok().flatten().ok_or(LetterError::Cut)?;
            let last = letters.last().map_or(0, |letter| letter.sequence);
            match reply.status.map(|status| status.as_u16()) {
                None => {
                    let letter = read(reply, last)?;
                    letters.push(letter);
                }
                Some(END_OF_BATCH) => {
                    if number(&reply, "Nats-Last-Sequence") != Some(last) {
                        return Err(LetterError::Cut);
                    }
                    let more = number(&reply, "Nats-Num-Pending").unwrap_or_default() > 0;
                    return Ok(LetterPage { letters, next: more.then_some(last + 1) });
                }
                Some(NOT_FOUND) => return Ok(LetterPage { letters, next: None }),
                Some(NO_RESPONDERS) => return Err(LetterError::NoStream),
                Some(_) => {
                    return Err(refused(WHAT)(&reply.description.unwrap_or_default()));
                }
            }
        }
    }
}

/// A letter, if the one that the server sent before it arrived, too.
fn read(message: Message, last: u64) -> Result<Letter, LetterError> {
    let before = number(&message, "Nats-Last-Sequence").unwrap_or_default();
    if before != last {
        return Err(LetterError::Cut);
    }
    let header = |name: &str| {
        let value = message.headers.as_ref().and_then(|headers| headers.get(name));
        value.map(|value| value.as_str().to_owned())
    };
    let sequence = number(&message, "Nats-Sequence");
    let taken =
        header("Nats-Time-Stamp").and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok());
    let (Some(sequence), Some(taken), Some(subject)) = (sequence, taken, header("Nats-Subject"))
    else {
        return Err(LetterError::refused("read dead letters")(&"a letter without its place"));
    };
    let parked = crate::consumers::millis(taken);
    let headers = message.headers.unwrap_or_default();
    Ok(Letter::new(sequence, parked, subject, &headers, message.payload))
}

fn number(message: &Message, name: &str) -> Option<u64> {
    message.headers.as_ref()?.get(name)?.as_str().parse().ok()
}

fn rfc3339(at: UnixMillis) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.get()) * 1_000_000);
    // Times come from a calendar; what lies outside it is the beginning.
    let time = time.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}
