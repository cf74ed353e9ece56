//! Commands: ordered, published from an outbox, moved from state to state, and read.
//!
//! Promises: an order, its message and its line in the audit log are one statement, and what a
//! device answers and the state that follows from it are another; a state never goes back, and
//! what a device said last is final. What ended by our clock alone (`assumed`) gives way to the
//! device's word. Refuses: to publish; whoever holds the broker does that, see [`outbox`].

mod answers;
mod cancel;
mod forget;
mod moves;
mod news;
mod order;
mod outbox;
mod outbox_first_generation;
mod prepare;
mod read;
mod state;
mod sweep;
mod targets;

pub(crate) use answers::Answers;
pub use cancel::{CancelError, Cancelled};
pub use forget::{COMMANDS_KEPT_MAX_DAYS, COMMANDS_KEPT_MIN_DAYS};
pub(crate) use moves::write_with_moves;
pub use news::{News, Topic};
pub use order::{NewCommand, NotOrdered};
pub use prepare::{NotPrepared, WantedOrder};
pub use read::{CommandEnd, CommandFilter, CommandOutput, CommandRow, Transition};
pub use state::CommandState;
pub use targets::{CommandTarget, TargetFilter};

/// What follows from `moved`, a list of commands that have just reached a state: the state is
/// stamped, and whoever waits for it is told. An end is in the audit log by a trigger. Its rows are
/// what [`crate::traces::moved`] reads.
const RECORD: &str = "
stamped as (
    insert into command_transitions (command_uuid, tenant_uuid, state, at, device_at, moved_by)
    select command_uuid, tenant_uuid, state, at, device_at, moved_by from moved
    on conflict (command_uuid, state) do nothing
)
select pg_notify('wegweiser_command_moves', command_uuid::text), traceparent, state from moved";

/// What an update of `commands c` by ourselves returns for [`RECORD`].
const MOVED_BY_US: &str = "
c.command_uuid, c.tenant_uuid, c.state, c.moved_by, c.traceparent, clock_timestamp() as at,
null::timestamptz as device_at";
