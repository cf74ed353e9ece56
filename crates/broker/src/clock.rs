//! The broker's clock, as a device may ask for it: the server's answer to a user's question who it
//! is carries the time.

use std::time::Duration;

use protocol::UnixMillis;
use serde::Deserialize;
use time::OffsetDateTime;

use crate::consumers::millis;
use crate::{Broker, BrokerGone};

/// Permitted to each device by its role.
const WHO_AM_I: &str = "$SYS.REQ.USER.INFO";
/// A later answer would say little.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
struct Answer {
    server: Server,
}

#[derive(Deserialize)]
struct Server {
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
}

impl Broker {
    /// How far this machine's clock is ahead of the server's, in milliseconds: exact to half of the
    /// time that the answer took, which is a second at most.
    ///
    /// # Errors
    /// The server does not answer in time; a role made before it could ask may not.
    pub async fn clock_offset_ms(&self) -> Result<i64, BrokerGone> {
        let gone = |error: &dyn std::fmt::Display| BrokerGone(error.to_string());
        let (asked, since) = (UnixMillis::now(), tokio::time::Instant::now());
        let request = self.client().request(WHO_AM_I, bytes::Bytes::new());
        let answer = tokio::time::timeout(ANSWER_WITHIN, request).await;
        let answer = answer.map_err(|error| gone(&error))?.map_err(|error| gone(&error))?;
        let read: Answer = serde_json::from_slice(&answer.payload).map_err(|error| gone(&error))?;
        let half_ms = i64::try_from(since.elapsed().as_millis() / 2).unwrap_or_default();
        Ok(asked.get() + half_ms - millis(read.server.time).get())
    }
}
