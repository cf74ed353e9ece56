//! The connection pool, and writing rows so that one bad row fails alone.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use protocol::{Reject, UnixMillis};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret as _;
use tokio_postgres::Error;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::PostgresSettings;
use crate::outcome::{Committed, Unavailable, Written};
use crate::sql_error::{blames_row, no_connection, unavailable};
use crate::traces;
use crate::walls::{self, Scope};

/// How long to wait for a connection of the pool, and for a new one to be made.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);
/// How long the server may leave sent bytes unconfirmed before the connection is dead.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle time before the server is asked whether it is there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);

/// Most bytes of a command's answers that are kept where nobody says.
const ANSWERS_MAX_BYTES: u64 = 8 * 1024 * 1024;

/// The records in Postgres; cheap to clone.
#[derive(Clone)]
pub struct Records {
    pub(crate) pool: Pool,
    statement_timeout: Duration,
    /// How a connection is made, for those that are not of the pool.
    way: Arc<(tokio_postgres::Config, MakeRustlsConnect)>,
    /// Behind the walls: whose rows are there.
    scope: Option<Scope>,
    /// Most bytes of a command's answers that are kept.
    pub(crate) answers_max_bytes: u64,
}

impl Records {
    /// Prepares the pool; connects at the first use and again whenever needed.
    ///
    /// # Errors
    /// The URL or the certificate authority cannot be used.
    pub fn open(settings: &PostgresSettings) -> Result<Self, Unavailable> {
        let config = client_config(settings)?;
        let tls = MakeRustlsConnect::new(tls_config(settings)?);
        let way = Arc::new((config.clone(), tls.clone()));
        let manager = Manager::from_config(
            config,
            tls,
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let wait = Some(CONNECTION_WAIT);
        let pool = Pool::builder(manager)
            .max_size(settings.pool_connections)
            .timeouts(Timeouts { wait, create: wait, recycle: wait })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(Unavailable::postgres)?;
        Ok(Self {
            pool,
            statement_timeout: settings.statement_timeout,
            way,
            scope: None,
            answers_max_bytes: ANSWERS_MAX_BYTES,
        })
    }

    /// The same, keeping so many bytes of a command's answers at most.
    #[must_use]
    pub fn keeping_answers(self, max_bytes: u64) -> Self {
        Self { answers_max_bytes: max_bytes, ..self }
    }

    pub(crate) fn within(&self, scope: Scope) -> Self {
        Self { scope: Some(scope), ..self.clone() }
    }

    /// Where the server is and how it is spoken to.
    pub(crate) fn way(&self) -> (&tokio_postgres::Config, &MakeRustlsConnect) {
        (&self.way.0, &self.way.1)
    }

    pub(crate) async fn connection(&self) -> Result<Object, Unavailable> {
        let connection = self.pool.get().await.map_err(|error| no_connection(&error))?;
        if let Some(scope) = self.scope {
            match tokio::time::timeout(CONNECTION_WAIT, walls::enter(&connection, scope)).await {
                Ok(entered) => entered?,
                Err(_) => return Err(Unavailable::postgres("it did not take a scope in time")),
            }
        }
        Ok(connection)
    }

    /// Runs a statement with a bound of our own: the server's own does not hold when it hangs.
    pub(crate) async fn bounded<T>(
        &self,
        statement: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Error>, Unavailable> {
        match tokio::time::timeout(self.statement_timeout * 2, statement).await {
            Ok(result) => Ok(result),
            Err(_) => Err(Unavailable::postgres("it did not answer a statement in time")),
        }
    }

    /// The server's clock.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn server_time(&self) -> Result<UnixMillis, Unavailable> {
        let connection = self.connection().await?;
        let sql = "select floor(extract(epoch from clock_timestamp()) * 1000)::bigint";
        let row = self.bounded(connection.query_one(sql, &[])).await?;
        Ok(UnixMillis::new(row.map_err(|error| unavailable(&error))?.get(0)))
    }

    /// Writes rows with a multi-row statement. Where the database blames a row, the batch is
    /// halved until the row stands alone; it is rejected and the rest is written.
    pub(crate) async fn write_bisecting<R>(
        &self,
        table: &'static str,
        sql: &str,
        rows: &[R],
        write: impl AsyncFn(&Object, &str, &[R]) -> Result<(), Error>,
    ) -> Result<Vec<Written>, Unavailable> {
        let connection = self.connection().await?;
        let mut written = Vec::with_capacity(rows.len());
        // Slices still to write, the next one last. Halving keeps it below log2 of the batch.
        let mut pending = vec![rows];
        while let Some(slice) = pending.pop() {
            if slice.is_empty() {
                continue;
            }
            let writing = self.bounded(write(&connection, sql, slice));
            let Err(error) = traces::insert(table, slice.len(), writing).await? else {
                written.extend(slice.iter().map(|_| Ok(Committed::confirmed())));
                continue;
            };
            let Some(blame) = blames_row(&error) else {
                return Err(unavailable(&error));
            };
            if slice.len() == 1 {
                written.push(Err(Reject::RowRejected(blame.into())));
                continue;
            }
            let (first, second) = slice.split_at(slice.len() / 2);
            pending.push(second);
            pending.push(first);
        }
        Ok(written)
    }
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").finish_non_exhaustive()
    }
}

fn client_config(settings: &PostgresSettings) -> Result<tokio_postgres::Config, Unavailable> {
    // The library's text repeats no secret, but its source may; only the top line is kept.
    let mut config = tokio_postgres::Config::from_str(settings.url.expose_secret())
        .map_err(|error| Unavailable::postgres(format!("DATABASE_URL: {error}")))?;
    if let Some(password) = &settings.password {
        config.password(password.expose_secret());
    }
    let timeout_ms = settings.statement_timeout.as_millis();
    config
        .application_name("wegweiser")
        .options(format!("-c statement_timeout={timeout_ms}"))
        .connect_timeout(CONNECTION_WAIT)
        .tcp_user_timeout(TCP_USER_TIMEOUT)
        .keepalives_idle(KEEPALIVE_IDLE);
    Ok(config)
}

fn tls_config(settings: &PostgresSettings) -> Result<ClientConfig, Unavailable> {
    let mut roots = RootCertStore::empty();
    match &settings.ca {
        Some(path) => {
            let bad = |error: &dyn std::fmt::Display| {
                Unavailable::postgres(format!("WEGWEISER_DATABASE_CA {}: {error}", path.display()))
            };
            let certificates = CertificateDer::pem_file_iter(path).map_err(|error| bad(&error))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| bad(&error))?;
                roots.add(certificate).map_err(|error| bad(&error))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Unavailable::postgres)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
