//! Dead letters as an operator's tools see them.

use anyhow::Result;

use super::World;

/// A parked message as an operator sees it.
#[derive(Clone, Debug)]
pub(crate) struct DeadLetter {
    pub(crate) subject: String,
    pub(crate) reason: String,
    pub(crate) origin: String,
    pub(crate) detail: String,
    pub(crate) attempts: String,
    pub(crate) tombstone: String,
    pub(crate) payload: Vec<u8>,
}

impl World {
    /// Every dead letter: reason code, headers and payload.
    pub(crate) async fn dead_letters(&self) -> Result<Vec<DeadLetter>> {
        let jetstream = async_nats::jetstream::new(self.operator().await?);
        let stream = jetstream.get_stream("DEAD_LETTERS").await?;
        let state = &stream.cached_info().state;
        let mut letters = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            if state.messages == 0 {
                break;
            }
            let message = stream.get_raw_message(sequence).await?;
            let header = |name: &str| {
                message.headers.get(name).map_or(String::new(), |value| value.to_string())
            };
            letters.push(DeadLetter {
                subject: message.subject.to_string(),
                reason: header("Wegweiser-Reason"),
                origin: header("Wegweiser-Subject"),
                detail: header("Wegweiser-Detail"),
                attempts: header("Wegweiser-Attempts"),
                tombstone: header("Wegweiser-Tombstone"),
                payload: message.payload.to_vec(),
            });
        }
        Ok(letters)
    }
}
