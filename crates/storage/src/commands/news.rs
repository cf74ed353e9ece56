//! What the database tells of by itself, so that nobody has to ask again and again.
//!
//! Promises: news wakes, and nothing more: whoever waits looks for himself, at the latest after the
//! time that he names. Refuses to run in the background: the connection is read while somebody
//! waits.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio_postgres::{AsyncMessage, Error};

use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// Longest wait for the connection.
const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// What there can be news of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Commands wait to be published.
    Ordered,
    /// Commands reached another state.
    Moved,
}

impl Topic {
    const fn channel(self) -> &'static str {
        match self {
            Self::Ordered => "wegweiser_commands",
            Self::Moved => "wegweiser_command_moves",
        }
    }
}

type Messages =
    Box<dyn FnMut(&mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>> + Send>;

/// A connection of its own that listens.
pub struct News {
    messages: Messages,
    // Closed when dropped.
    _client: tokio_postgres::Client,
}

impl Records {
    /// Listens from now on.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn news(&self, topic: Topic) -> Result<News, Unavailable> {
        match tokio::time::timeout(CONNECT_WAIT, self.listen(topic)).await {
            Ok(listening) => listening,
            Err(_) => Err(Unavailable::postgres("it did not let anybody listen in time")),
        }
    }

    async fn listen(&self, topic: Topic) -> Result<News, Unavailable> {
        let (config, tls) = self.way();
        let connected = config.connect(tls.clone()).await;
        let (client, mut connection) = connected.map_err(|error| unavailable(&error))?;
        let mut messages: Messages = Box::new(move |context| connection.poll_message(context));
        let sql = format!("listen {}", topic.channel());
        {
            let listening = client.batch_execute(&sql);
            tokio::pin!(listening);
            loop {
                // Nothing goes to or comes from the server unless the connection is asked.
                tokio::select! {
                    listens = &mut listening => {
                        listens.map_err(|error| unavailable(&error))?;
                        break;
                    }
                    message = poll_fn(&mut messages) => {
                        message.transpose().map_err(|error| unavailable(&error))?;
                    }
                }
            }
        }
        Ok(News { messages, _client: client })
    }
}

impl News {
    /// Waits for news, or until `longest` is over.
    ///
    /// # Errors
    /// The connection is gone: listen anew, and look for yourself.
    pub async fn wait(&mut self, longest: Duration) -> Result<(), Unavailable> {
        let first = tokio::time::timeout(longest, self.next()).await;
        match first {
            Err(_) => Ok(()),
            Ok(told) => told,
        }
    }

    async fn next(&mut self) -> Result<(), Unavailable> {
        loop {
            match poll_fn(&mut self.messages).await {
                Some(Ok(AsyncMessage::Notification(_))) => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(unavailable(&error)),
                None => return Err(Unavailable::postgres("it closed the listening connection")),
            }
        }
    }
}

impl std::fmt::Debug for News {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("News").finish_non_exhaustive()
    }
}
