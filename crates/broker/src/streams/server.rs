//! The server's stream API, in its own JSON.
//!
//! Promises: what the files state reaches the server as it stands, field for field, and what the
//! server has is seen whole; the client library's types would drop what they do not know.
//! Refuses: to guess from an incomplete list. An error carries the server's code and text.

use std::time::{Duration, SystemTime};

use async_nats::jetstream::{Context, context::RequestError};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Pages of 256 streams that are asked for before the answer is called endless.
const PAGES_MAX: usize = 4_096;
/// How often a cluster is asked again for streams that it cannot show, and after which pause.
const OFFLINE_LOOKS: usize = 10;
const OFFLINE_PAUSE: Duration = Duration::from_millis(500);
/// The server's codes for "no such stream", "no such consumer" and "no such message".
const STREAM_NOT_FOUND: u64 = 10_059;
const CONSUMER_NOT_FOUND: u64 = 10_014;
const MESSAGE_NOT_FOUND: u64 = 10_037;
/// Any subject.
const EVERYTHING: &str = ">";

/// The broker could not be asked, or said no.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No answer came.
    #[error(
        "the broker did not answer {request}; it needs JetStream in this account and a user that may publish to $JS.API.>"
    )]
    NoAnswer {
        /// What was asked.
        request: String,
        /// Why there was no answer.
        #[source]
        source: RequestError,
    },
    /// The server refused.
    #[error("the broker refused {request}: {description} (code {code})")]
    Refused {
        /// What was asked.
        request: String,
        /// The server's error code.
        code: u64,
        /// The server's text.
        description: String,
    },
    /// The answer lacks what it must have.
    #[error("the broker's answer to {request} lacks {field}; is it nats-server 2.11 or newer?")]
    Unreadable {
        /// What was asked.
        request: String,
        /// What is missing.
        field: &'static str,
    },
    /// Some streams are offline, so that nothing can be said about them.
    #[error("the broker cannot show stream(s) {names} now; wait for the cluster and try again")]
    Offline {
        /// Their names.
        names: String,
    },
}

/// A stream or consumer as the server has it.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) config: Map<String, Value>,
    /// The whole answer: state, counts, times.
    pub(super) info: Value,
}

impl Found {
    /// A number of the answer by its JSON pointer; 0 where the server left it out.
    pub(super) fn number(&self, pointer: &str) -> u64 {
        self.info.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
    }

    fn from(info: Value, name_field: &str, request: &str) -> Result<Self, ServerError> {
        let missing = |field| ServerError::Unreadable { request: request.to_owned(), field };
        let config = info.get("config").and_then(Value::as_object);
        let config = config.ok_or_else(|| missing("config"))?.clone();
        let name = config.get(name_field).or_else(|| info.get("name")).and_then(Value::as_str);
        let name = name.ok_or_else(|| missing("name"))?.to_owned();
        Ok(Self { name, config, info })
    }
}

/// The server's stream API.
pub(super) struct Server<'a> {
    jetstream: &'a Context,
}

impl<'a> Server<'a> {
    pub(super) const fn new(jetstream: &'a Context) -> Self {
        Self { jetstream }
    }

    /// Every stream of the account; waits a moment for those that a cluster is just making or
    /// removing, since another operator may be at work.
    pub(super) async fn streams(&self) -> Result<Vec<Found>, ServerError> {
        for _ in 0..OFFLINE_LOOKS {
            match self.all_streams().await {
                Err(ServerError::Offline { .. }) => tokio::time::sleep(OFFLINE_PAUSE).await,
                settled => return settled,
            }
        }
        self.all_streams().await
    }

    async fn all_streams(&self) -> Result<Vec<Found>, ServerError> {
        const REQUEST: &str = "STREAM.LIST";
        let missing = |field| ServerError::Unreadable { request: REQUEST.to_owned(), field };
        let mut found = Vec::new();
        for _ in 0..PAGES_MAX {
            let answer = self.ask(REQUEST, &json!({ "offset": found.len() })).await?;
            if let Some(names) = answer.get("missing").filter(|names| !names.is_null()) {
                return Err(ServerError::Offline { names: names.to_string() });
            }
            let total = answer.get("total").and_then(Value::as_u64).ok_or(missing("total"))?;
            let page = answer.get("streams").and_then(Value::as_array);
            let page = page.map(Vec::as_slice).unwrap_or_default();
            for info in page {
                found.push(Found::from(info.clone(), "name", REQUEST)?);
            }
            if page.is_empty() || found.len() as u64 >= total {
                return Ok(found);
            }
        }
        Err(missing("an end of the list"))
    }

    /// One consumer, if there is one of that name.
    pub(super) async fn consumer(
        &self,
        stream: &str,
        name: &str,
    ) -> Result<Option<Found>, ServerError> {
        let request = format!("CONSUMER.INFO.{stream}.{name}");
        match self.ask(&request, &json!({})).await {
            Ok(info) => Found::from(info, "durable_name", &request).map(Some),
            Err(ServerError::Refused { code: CONSUMER_NOT_FOUND | STREAM_NOT_FOUND, .. }) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn create_stream(
        &self,
        name: &str,
        config: &Map<String, Value>,
    ) -> Result<(), ServerError> {
        self.ask(&format!("STREAM.CREATE.{name}"), config).await.map(drop)
    }

    pub(super) async fn update_stream(
        &self,
        name: &str,
        config: &Map<String, Value>,
    ) -> Result<(), ServerError> {
        self.ask(&format!("STREAM.UPDATE.{name}"), config).await.map(drop)
    }

    /// Creates the consumer, or changes it to this configuration.
    pub(super) async fn put_consumer(
        &self,
        stream: &str,
        name: &str,
        config: &Map<String, Value>,
    ) -> Result<(), ServerError> {
        let request = format!("CONSUMER.CREATE.{stream}.{name}");
        let body = json!({ "stream_name": stream, "config": config, "action": "" });
        self.ask(&request, &body).await.map(drop)
    }

    /// Removes the stream; it is no error when somebody else just did.
    pub(super) async fn remove_stream(&self, name: &str) -> Result<(), ServerError> {
        gone_is_fine(self.ask(&format!("STREAM.DELETE.{name}"), &json!({})).await)
    }

    /// Removes the consumer; it is no error when somebody else just did.
    pub(super) async fn remove_consumer(
        &self,
        stream: &str,
        name: &str,
    ) -> Result<(), ServerError> {
        gone_is_fine(self.ask(&format!("CONSUMER.DELETE.{stream}.{name}"), &json!({})).await)
    }

    /// Sequence of the first message that the stream took at `since` or later.
    pub(super) async fn first_since(
        &self,
        stream: &str,
        since: SystemTime,
    ) -> Result<Option<u64>, ServerError> {
        let request = format!("STREAM.MSG.GET.{stream}");
        let missing = |field| ServerError::Unreadable { request: request.clone(), field };
        let since = OffsetDateTime::from(since).format(&Rfc3339).map_err(|_| missing("a time"))?;
        let body = json!({ "start_time": since, "next_by_subj": EVERYTHING, "no_hdr": true });
        match self.ask(&request, &body).await {
            Ok(answer) => {
                let sequence = answer.pointer("/message/seq").and_then(Value::as_u64);
                sequence.ok_or_else(|| missing("message.seq")).map(Some)
            }
            Err(ServerError::Refused { code: MESSAGE_NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Messages by subject, for subjects within `filter`; the first page only (100,000 subjects).
    pub(super) async fn by_subject(
        &self,
        stream: &str,
        filter: &str,
    ) -> Result<Vec<u64>, ServerError> {
        let (page, _) = self.subjects_from(stream, filter, 0).await?;
        Ok(page.into_iter().map(|(_, count)| count).collect())
    }

    /// Every subject within `filter` that has messages, and how many.
    pub(super) async fn subjects(
        &self,
        stream: &str,
        filter: &str,
    ) -> Result<Vec<(String, u64)>, ServerError> {
        let mut found = Vec::new();
        for _ in 0..PAGES_MAX {
            let (page, total) = self.subjects_from(stream, filter, found.len()).await?;
            let is_last = page.is_empty() || found.len() + page.len() >= total;
            found.extend(page);
            if is_last {
                return Ok(found);
            }
        }
        Err(ServerError::Unreadable {
            request: format!("STREAM.INFO.{stream}"),
            field: "an end of the subjects",
        })
    }

    /// A page of subjects, and how many there are in all.
    async fn subjects_from(
        &self,
        stream: &str,
        filter: &str,
        offset: usize,
    ) -> Result<(Vec<(String, u64)>, usize), ServerError> {
        let request = format!("STREAM.INFO.{stream}");
        let body = json!({ "subjects_filter": filter, "offset": offset });
        let answer = self.ask(&request, &body).await?;
        let total = answer.get("total").and_then(Value::as_u64).unwrap_or_default();
        let subjects = answer.pointer("/state/subjects").and_then(Value::as_object);
        let page = subjects.into_iter().flatten();
        let page = page.filter_map(|(subject, count)| Some((subject.clone(), count.as_u64()?)));
        Ok((page.collect(), usize::try_from(total).unwrap_or(usize::MAX)))
    }

    /// Removes every message whose subject is within `filter`.
    pub(super) async fn purge(&self, stream: &str, filter: &str) -> Result<(), ServerError> {
        let request = format!("STREAM.PURGE.{stream}");
        self.ask(&request, &json!({ "filter": filter })).await.map(drop)
    }

    /// The names of every consumer of a stream; none where there is no such stream.
    pub(super) async fn consumer_names(&self, stream: &str) -> Result<Vec<String>, ServerError> {
        let request = format!("CONSUMER.NAMES.{stream}");
        let mut found: Vec<String> = Vec::new();
        for _ in 0..PAGES_MAX {
            let answer = match self.ask(&request, &json!({ "offset": found.len() })).await {
                Err(ServerError::Refused { code: STREAM_NOT_FOUND, .. }) => return Ok(found),
                answer => answer?,
            };
            let total = answer.get("total").and_then(Value::as_u64).unwrap_or_default();
            let page = answer.get("consumers").and_then(Value::as_array);
            let page = page.map(Vec::as_slice).unwrap_or_default();
            found.extend(page.iter().filter_map(Value::as_str).map(str::to_owned));
            if page.is_empty() || found.len() as u64 >= total {
                return Ok(found);
            }
        }
        Err(ServerError::Unreadable { request, field: "an end of the list" })
    }

    async fn ask<T: serde::Serialize>(
        &self,
        request: &str,
        body: &T,
    ) -> Result<Value, ServerError> {
        let answer: Value = self
            .jetstream
            .request(request.to_owned(), body)
            .await
            .map_err(|source| ServerError::NoAnswer { request: request.to_owned(), source })?;
        let Some(error) = answer.get("error").filter(|error| !error.is_null()) else {
            return Ok(answer);
        };
        Err(ServerError::Refused {
            request: request.to_owned(),
            code: error.get("err_code").and_then(Value::as_u64).unwrap_or_default(),
            description: error
                .get("description")
                .and_then(Value::as_str)
                .unwrap_or("no reason given")
                .to_owned(),
        })
    }
}

fn gone_is_fine(answer: Result<Value, ServerError>) -> Result<(), ServerError> {
    match answer {
        Ok(_) | Err(ServerError::Refused { code: STREAM_NOT_FOUND | CONSUMER_NOT_FOUND, .. }) => {
            Ok(())
        }
        Err(error) => Err(error),
    }
}
