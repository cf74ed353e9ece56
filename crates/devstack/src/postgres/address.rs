//! Where a Postgres is and how to get in, and the question whether it lets anyone in yet.
//!
//! Refuses to: show the password in `Debug`.

use secrecy::{ExposeSecret as _, SecretString};

use crate::ready;

/// The superuser and the database that every server of ours has.
pub(crate) const NAME: &str = "wegweiser";
/// Protocol 3.0.
const PROTOCOL: u32 = 196_608;
const ANSWER_BYTES_MAX: usize = 1;
/// The first byte of an authentication request. Before it is ready, Postgres sends `E` instead.
const AUTHENTICATION: &[u8] = b"R";

/// Where and as whom to connect.
#[derive(Debug, Clone)]
pub struct DatabaseAddress {
    /// Always `127.0.0.1`.
    pub host: &'static str,
    /// TCP port.
    pub port: u16,
    /// The role.
    pub user: String,
    /// The role's password: letters and digits.
    pub password: SecretString,
    /// The database.
    pub database: String,
}

impl DatabaseAddress {
    pub(super) fn new(port: u16, password: SecretString) -> Self {
        Self { host: "127.0.0.1", port, user: NAME.to_owned(), password, database: NAME.to_owned() }
    }

    /// The same server, seen through something else that listens on this machine (a proxy).
    #[must_use]
    pub fn at_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Another database on the same server.
    #[must_use]
    pub fn with_database(mut self, database: impl Into<String>) -> Self {
        self.database = database.into();
        self
    }

    /// Another role, whose password is told elsewhere.
    #[must_use]
    pub fn with_user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    /// `postgres://user@host:port/database`, for a password that is told elsewhere.
    #[must_use]
    pub fn url_without_password(&self) -> String {
        let Self { host, port, user, database, .. } = self;
        format!("postgres://{user}@{host}:{port}/{database}")
    }

    /// `postgres://user@host:port/database`, over TLS, for a password that is told elsewhere.
    #[must_use]
    pub fn url_over_tls(&self) -> String {
        format!("{}?sslmode=require", self.url_without_password())
    }

    /// `postgres://user:password@host:port/database`, as `DATABASE_URL` has it.
    #[must_use]
    pub fn url(&self) -> SecretString {
        let Self { host, port, user, password, database } = self;
        let password = password.expose_secret();
        SecretString::from(format!("postgres://{user}:{password}@{host}:{port}/{database}"))
    }
}

/// Asks as `pg_isready` does: a server that asks for a password is open.
pub(super) fn accepts(port: u16) -> bool {
    let mut body = PROTOCOL.to_be_bytes().to_vec();
    body.extend_from_slice(format!("user\0{NAME}\0database\0{NAME}\0\0").as_bytes());
    let Ok(length) = u32::try_from(body.len() + 4) else {
        return false;
    };
    let mut request = length.to_be_bytes().to_vec();
    request.append(&mut body);
    ready::ask(port, &request, ANSWER_BYTES_MAX).as_deref() == Some(AUTHENTICATION)
}
