//! Records behind the walls: who reads says first whose rows he reads.
//!
//! For programs that sign in as a member of `wegweiser_web`, to whom Postgres shows a row only
//! within the scope that the connection names. Promises: a connection names its scope each time
//! before it is handed out, so that none keeps another's. Refuses to hand out one without a scope.

use protocol::TenantId;

use crate::PostgresSettings;
use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// Whose rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nobody's: for what is no tenant's, such as the state of the schema.
    Nobody,
    /// One tenant's.
    Tenant(TenantId),
    /// Every tenant's, and what is the operator's own.
    AllTenants,
}

impl Scope {
    /// As `wegweiser.tenant` has it.
    fn setting(self) -> String {
        match self {
            Self::Nobody => String::new(),
            Self::Tenant(tenant) => tenant.to_string(),
            Self::AllTenants => "all".to_owned(),
        }
    }

    /// The tenant, where it is one.
    #[must_use]
    pub const fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Tenant(tenant) => Some(tenant),
            Self::Nobody | Self::AllTenants => None,
        }
    }
}

/// A pool of connections that are lent within a scope alone; cheap to clone.
#[derive(Clone, Debug)]
pub struct WalledRecords {
    records: Records,
}

impl WalledRecords {
    /// As [`Records::open`].
    ///
    /// # Errors
    /// The URL or the certificate authority cannot be used.
    pub fn open(settings: &PostgresSettings) -> Result<Self, Unavailable> {
        Ok(Self { records: Records::open(settings)? })
    }

    /// The records that are within `scope`; the others are not there.
    #[must_use]
    pub fn within(&self, scope: Scope) -> Records {
        self.records.within(scope)
    }
}

/// Names the scope of a connection, until it is named anew.
pub(crate) async fn enter(
    connection: &tokio_postgres::Client,
    scope: Scope,
) -> Result<(), Unavailable> {
    // A UUID or one of our own words: nothing that could end the text.
    let sql = format!("set wegweiser.tenant = '{}'", scope.setting());
    connection.batch_execute(&sql).await.map_err(|error| unavailable(&error))
}
