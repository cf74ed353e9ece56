//! How many letters there are of each kind, counted by the server.

use async_nats::jetstream::stream::DirectGetErrorKind;
use futures::TryStreamExt as _;
use protocol::UnixMillis;

use super::{LetterError, LetterFilter, STREAM};
use crate::Broker;

/// Letters of one stream, reason, tenant and device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterCount {
    /// Stream of the originals.
    pub stream: String,
    /// Why they were parked.
    pub reason: String,
    /// Whose they are, or `unknown`.
    pub tenant: String,
    /// Which device sent them, or `unknown`.
    pub device: String,
    /// How many.
    pub letters: u64,
}

impl Broker {
    /// Counts the letters of a filter without reading one. Refuses times: the server counts
    /// subjects.
    ///
    /// # Errors
    /// See [`LetterError`].
    pub async fn dead_letter_counts(
        &self,
        filter: &LetterFilter,
    ) -> Result<Vec<LetterCount>, LetterError> {
        const WHAT: &str = "count dead letters";
        if filter.has_time() {
            return Err(LetterError::refused(WHAT)(&"counts know no time"));
        }
        let stream = self.jetstream().get_stream_no_info(STREAM).await;
        let stream = stream.map_err(|error| LetterError::refused(WHAT)(&error))?;
        let subjects = stream.info_with_subjects(filter.subject()).await;
        let mut subjects = subjects.map_err(|error| LetterError::refused(WHAT)(&error))?;
        let mut counts = Vec::new();
        loop {
            let next = subjects.try_next().await;
            let Some((subject, letters)) =
                next.map_err(|error| LetterError::refused(WHAT)(&error))?
            else {
                return Ok(counts);
            };
            let mut tokens = subject.split('.').skip(1).map(str::to_owned);
            let mut token = || tokens.next().unwrap_or_default();
            counts.push(LetterCount {
                stream: token(),
                reason: token(),
                tenant: token(),
                device: token(),
                letters: u64::try_from(letters).unwrap_or(u64::MAX),
            });
        }
    }

    /// When the oldest and the newest letter of a filter were parked, by the broker's clock; its
    /// times do not count.
    ///
    /// # Errors
    /// See [`LetterError`].
    pub async fn dead_letter_span(
        &self,
        filter: &LetterFilter,
    ) -> Result<Option<(UnixMillis, UnixMillis)>, LetterError> {
        const WHAT: &str = "look up a dead letter";
        let stream = self.jetstream().get_stream_no_info(STREAM).await;
        let stream = stream.map_err(|error| LetterError::refused(WHAT)(&error))?;
        let oldest = stream.direct_get_first_for_subject(filter.subject()).await;
        let newest = stream.direct_get_last_for_subject(filter.subject()).await;
        let mut ends = Vec::new();
        for end in [oldest, newest] {
            match end {
                Ok(message) => ends.push(crate::consumers::millis(message.time)),
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(LetterError::refused(WHAT)(&error)),
            }
        }
        Ok(ends.first().copied().zip(ends.last().copied()))
    }
}
