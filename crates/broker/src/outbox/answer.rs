//! What came back for a publish: the stream's word, or that there is no stream.

use async_nats::{Message, StatusCode};
use serde::Deserialize;

/// The answer to one publish.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The stream has it, perhaps since an earlier attempt.
    Confirmed,
    /// No stream takes the subject.
    NobodyThere,
    /// The stream does not take it now, and why.
    Refused(String),
}

/// `{"stream":…,"seq":…}` or `{"error":{"description":…}}`.
#[derive(Deserialize)]
struct PublishAck {
    stream: Option<String>,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    description: String,
}

impl Answer {
    pub(super) fn read(message: &Message) -> Self {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Self::NobodyThere;
        }
        match serde_json::from_slice::<PublishAck>(&message.payload) {
            Ok(PublishAck { error: Some(error), .. }) => Self::Refused(error.description),
            Ok(PublishAck { stream: Some(_), error: None }) => Self::Confirmed,
            _ => Self::Refused("the answer is not a stream's; something else listens".to_owned()),
        }
    }
}
