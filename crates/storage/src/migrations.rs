//! The schema: forward-only migrations, embedded, applied by one process at a time.

use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

mod embedded {
    refinery::embed_migrations!("../../migrations");
}

/// Any number that no other program uses for an advisory lock: "wegweise" in ASCII.
const LOCK: i64 = 0x7765_6777_6569_7365;

/// How far a database is migrated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationState {
    /// Migrations that this program knows, oldest first.
    pub known: Vec<String>,
    /// How many of them the database has.
    pub applied: usize,
}

impl MigrationState {
    /// Whether nothing is left to apply.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.applied >= self.known.len()
    }
}

impl Records {
    /// Applies what is missing; returns the names of what it applied.
    ///
    /// # Errors
    /// Postgres is away, or a migration failed (it then left no trace).
    pub async fn migrate(&self) -> Result<Vec<String>, Unavailable> {
        let mut connection = self.connection().await?;
        let client: &mut tokio_postgres::Client = &mut connection;
        let lock = format!("set statement_timeout = 0; select pg_advisory_lock({LOCK})");
        client.batch_execute(&lock).await.map_err(|error| unavailable(&error))?;
        let report = embedded::migrations::runner().run_async(client).await;
        let unlock = format!("select pg_advisory_unlock({LOCK}); reset statement_timeout");
        client.batch_execute(&unlock).await.map_err(|error| unavailable(&error))?;
        let report = report.map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            Unavailable::postgres(format!("{error}: {}", cause.unwrap_or_default()))
        })?;
        Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
    }

    /// Compares the database with what this program knows.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn migration_state(&self) -> Result<MigrationState, Unavailable> {
        let connection = self.connection().await?;
        let runner = embedded::migrations::runner();
        let known: Vec<String> = runner.get_migrations().iter().map(ToString::to_string).collect();
        let there = "select to_regclass('refinery_schema_history') is not null";
        let row = self.bounded(connection.query_one(there, &[])).await?;
        if !row.map_err(|error| unavailable(&error))?.get::<_, bool>(0) {
            return Ok(MigrationState { known, applied: 0 });
        }
        let count = "select count(*) from refinery_schema_history";
        let row = self.bounded(connection.query_one(count, &[])).await?;
        let applied: i64 = row.map_err(|error| unavailable(&error))?.get(0);
        Ok(MigrationState { known, applied: usize::try_from(applied).unwrap_or(0) })
    }
}
