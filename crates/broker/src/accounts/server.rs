//! The server's side: what its resolver holds, and pushing to it.
//!
//! Promises: speaks with credentials of account `SYS` that were issued for minutes and never
//! written to a file. Refuses to keep trying: an operator waits for the answer.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, ServerAddr};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use identity::{
    Account, AccountName, Credentials, KeyDir, PublicKey, UnixSeconds, Verified, issue_user,
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::error::AccountsError;
use crate::BrokerTls;

/// The role of `system.json` that may push accounts.
const ROLE: &str = "accounts";
/// How long the issued credentials live.
const CREDENTIALS_LIFE: Duration = Duration::from_secs(15 * 60);
/// How long the server may take to let us in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Attempts to connect before giving up.
const CONNECT_ATTEMPTS: usize = 3;
/// Lookups under way at one time.
const LOOKUPS_IN_FLIGHT: usize = 32;

/// A connection to account `SYS` of a running server.
#[derive(Clone, Debug)]
pub struct AccountServer {
    client: Client,
}

impl AccountServer {
    /// Connects with credentials made on the spot from the key directory.
    ///
    /// `url` is one address or several with commas between.
    ///
    /// # Errors
    /// When a key is missing, the address is none, or the server does not let us in.
    pub async fn open(url: &str, tls: &BrokerTls, keys: &KeyDir) -> Result<Self, AccountsError> {
        let until = UnixSeconds::now().plus(CREDENTIALS_LIFE);
        let credentials = issue_user(keys, AccountName::System, ROLE, ROLE, Some(until))?;
        Self::connect(url, tls, &credentials).await
    }

    async fn connect(
        url: &str,
        tls: &BrokerTls,
        credentials: &Credentials,
    ) -> Result<Self, AccountsError> {
        let addresses = url
            .split(',')
            .map(|part| {
                part.trim().parse::<ServerAddr>().map_err(|_| AccountsError::Url(part.to_owned()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let refused = |reason: String| AccountsError::Connect { url: url.to_owned(), reason };
        let options = ConnectOptions::new()
            .name("wegweiser accounts")
            .connection_timeout(CONNECT_TIMEOUT)
            .request_timeout(Some(ANSWER_TIMEOUT))
            .max_reconnects(Some(CONNECT_ATTEMPTS))
            .custom_inbox_prefix(credentials.inbox_prefix());
        let client = tls
            .apply(options)
            .map_err(refused)?
            .credentials(credentials.decorated().expose_secret())
            .map_err(|_| refused("the credentials do not parse".to_owned()))?
            .connect(addresses)
            .await
            .map_err(|error| refused(error.to_string()))?;
        Ok(Self { client })
    }

    /// What the server holds of one account; nothing if it does not know it.
    ///
    /// # Errors
    /// When the server does not answer or holds claims unknown here.
    pub async fn lookup(
        &self,
        account: &PublicKey,
    ) -> Result<Option<Verified<Account>>, AccountsError> {
        let subject = format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP");
        let answer = self.ask(subject, Bytes::new(), || format!("the lookup of {account}")).await?;
        if answer.is_empty() {
            return Ok(None);
        }
        Verified::read(&String::from_utf8_lossy(&answer))
            .map(Some)
            .map_err(|source| AccountsError::Unreadable { account: account.to_string(), source })
    }

    /// As [`Self::lookup`] for many accounts; the answers are in the same order.
    pub(super) async fn lookup_all(
        &self,
        accounts: Vec<PublicKey>,
    ) -> Result<Vec<Option<Verified<Account>>>, AccountsError> {
        futures::stream::iter(accounts)
            .map(|account| async move { self.lookup(&account).await })
            .buffered(LOOKUPS_IN_FLIGHT)
            .try_collect()
            .await
    }

    /// The public keys of every account that the server holds.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn list(&self) -> Result<Vec<PublicKey>, AccountsError> {
        let what = || "the list of accounts".to_owned();
        let answer = self.ask("$SYS.REQ.CLAIMS.LIST".to_owned(), Bytes::new(), what).await?;
        let listed: Listed = serde_json::from_slice(&answer)
            .map_err(|error| AccountsError::NoAnswer { what: what(), reason: error.to_string() })?;
        Ok(listed.data)
    }

    /// Makes the server take an account's JWT, at once and for every connection of it.
    pub(super) async fn push(&self, title: &str, jwt: String) -> Result<(), AccountsError> {
        self.order("$SYS.REQ.CLAIMS.UPDATE", jwt, || title.to_owned()).await
    }

    /// Makes the server forget accounts and disconnect their users.
    pub(super) async fn delete(&self, title: &str, order: String) -> Result<(), AccountsError> {
        self.order("$SYS.REQ.CLAIMS.DELETE", order, || format!("the deletion of {title}")).await
    }

    async fn order(
        &self,
        subject: &str,
        jwt: String,
        what: impl Fn() -> String,
    ) -> Result<(), AccountsError> {
        let answer = self.ask(subject.to_owned(), Bytes::from(jwt), &what).await?;
        let refused = |reason| AccountsError::Refused { what: what(), reason };
        let answer: Answer = serde_json::from_slice(&answer)
            .map_err(|error| refused(format!("its answer is unreadable: {error}")))?;
        match answer.error {
            None => Ok(()),
            Some(error) => Err(refused(error.description)),
        }
    }

    async fn ask(
        &self,
        subject: String,
        payload: Bytes,
        what: impl Fn() -> String,
    ) -> Result<Bytes, AccountsError> {
        let answer = self.client.request(subject, payload).await;
        answer
            .map(|message| message.payload)
            .map_err(|error| AccountsError::NoAnswer { what: what(), reason: error.to_string() })
    }
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    data: Vec<PublicKey>,
}

#[derive(Deserialize)]
struct Answer {
    error: Option<AnswerError>,
}

#[derive(Deserialize)]
struct AnswerError {
    #[serde(default)]
    description: String,
}
