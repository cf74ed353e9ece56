//! Where messages have their effect, and the only crate that names redis and tokio-postgres.
//!
//! [`Rings`] holds the newest metric points in Redis; [`Records`] holds heartbeats, responses and
//! monitoring reports in Postgres. Promises: a [`Committed`] is made here alone, and only after
//! the server has confirmed; writing the same message again has no second effect; one bad row
//! never fails its batch; what is wrong with a server is [`Unavailable`], what is wrong with a
//! message is a [`protocol::Reject`], and neither is taken for the other.

mod api_tokens;
mod applied;
mod audit;
mod commands;
mod connectivity;
mod enrolment;
mod figures;
mod fleet;
mod fleet_rows;
mod history;
mod labels;
mod ledger;
mod merge;
mod migrations;
mod offboarding;
mod outcome;
mod passwords;
mod presence;
mod realtime;
mod rebuild;
mod records;
mod registry;
mod rings;
mod secret_token;
mod sessions;
mod settings;
mod sign_ins;
mod sql_error;
mod traces;
mod users;
mod walls;

pub use api_tokens::{ApiRole, ApiTokenRefusal, ApiTokenRow, KnownApiToken, NewApiToken};
pub use audit::{AuditEntry, AuditFilter, AuditRow};
pub use commands::{
    COMMANDS_KEPT_MAX_DAYS, COMMANDS_KEPT_MIN_DAYS, CancelError, Cancelled, CommandEnd,
    CommandFilter, CommandOutput, CommandRow, CommandState, CommandTarget, NewCommand, News,
    NotOrdered, NotPrepared, TargetFilter, Topic, Transition, WantedOrder,
};
pub use connectivity::{DeviceRow, HeartbeatWrite};
pub use enrolment::{EnrollTokenRow, Enrolled, Enrolment, EnrolmentError, NewEnrollToken, Renewal};
pub use figures::show_pool;
pub use fleet::{Attention, PoolUse, TenantCounts};
pub use fleet_rows::{
    FleetPosition, FleetQuery, FleetRow, FleetSort, FleetState, FleetTotals, UnknownWord,
};
pub use history::{ConnectivityChange, History, NewChange, RecordFilter, StoredRecord};
pub use labels::{LabelChange, LabelChangeError};
pub use ledger::{
    DeviceSession, LedgerPlace, LedgerRow, Note, NumberRun, StoredNumbers, Told, runs,
};
pub use migrations::MigrationState;
pub use outcome::{Committed, Unavailable, Written};
pub use passwords::{PASSWORD_CHARS, PasswordError, hash_password, is_password};
pub use presence::{OfflineRule, PresenceCounts, WentOffline};
pub use realtime::{RealtimeBody, RealtimeWrite};
pub use rebuild::{Difference, Discrepancy, Shadow};
pub use records::Records;
pub use registry::{
    AppliedTenant, Credential, DeviceFilter, DeviceState, NotedCredential, Registration,
    RegistryDevice, RegistryError, RegistryTenant, TenantLimits, TenantState,
};
pub use rings::{RingPoint, RingWrite, Rings};
pub use secret_token::{ApiToken, EnrollToken, LinkToken, SessionToken};
pub use sessions::{KnownSession, OpenedBy, SESSION_SECONDS, SignInWith};
pub use settings::{POSTGRES_SETTINGS, PostgresSettings, REDIS_SETTINGS, RedisSettings};
pub use sign_ins::{ProgramRole, SignInError};
pub use users::{NewUser, UserError, UserRow};
pub use walls::{Scope, WalledRecords};
