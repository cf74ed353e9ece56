//! Every bound of the contract, with its unit in its name.

/// A metric point is a few short fields.
pub const METRIC_PAYLOAD_MAX_BYTES: usize = 4 * 1024;
/// A heartbeat carries a short summary.
pub const HEARTBEAT_PAYLOAD_MAX_BYTES: usize = 64 * 1024;
/// A monitoring report lists disks, networks and processes.
pub const MONITORING_PAYLOAD_MAX_BYTES: usize = 512 * 1024;
/// A response carries a command's output.
pub const RESPONSE_PAYLOAD_MAX_BYTES: usize = 768 * 1024;

/// Most earlier sessions that one heartbeat tells of.
pub const EARLIER_SESSIONS_MAX: usize = 16;

/// Longest metric type, in bytes (`[a-z0-9_]` only).
pub const METRIC_TYPE_MAX_BYTES: usize = 64;
/// Longest message id of a sender, in bytes.
pub const MESSAGE_ID_MAX_BYTES: usize = 128;
/// Highest number of a message that the books keep: whole in every reader's arithmetic (2^53 - 1).
pub const COUNTER_MAX: u64 = 9_007_199_254_740_991;
/// Longest free text taken into a column (version, session, data type), in characters.
pub const TEXT_FIELD_MAX_CHARS: usize = 128;
/// Longest reason text of a dead letter, in characters.
pub const REJECT_DETAIL_MAX_CHARS: usize = 512;

/// A time stamp further ahead of the broker's clock than this is parked, in milliseconds (a day).
pub const TIMESTAMP_AHEAD_MAX_MS: i64 = 24 * 60 * 60 * 1000;
/// A time stamp before this is no time of a running device and is parked (2000-01-01).
pub const TIMESTAMP_MIN_MS: i64 = 946_684_800_000;
/// A number below this is taken for seconds: as milliseconds it would be before March 1973.
pub const TIMESTAMP_SECONDS_BELOW: f64 = 100_000_000_000.0;

/// Most labels of a device, of each side.
pub const LABELS_MAX: usize = 32;
/// Longest key of a label, in bytes.
pub const LABEL_KEY_MAX_BYTES: usize = 63;
/// Longest value of a label, in characters.
pub const LABEL_VALUE_MAX_CHARS: usize = 128;

/// A command with its signature: what the stream `COMMANDS` takes.
pub const COMMAND_PAYLOAD_MAX_BYTES: usize = 256 * 1024;
/// Longest time from a command's making to its expiry, in milliseconds (a week): as long as
/// `COMMANDS` keeps it.
pub const COMMAND_LIFE_MAX_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// Shortest time that a command may be given to run, in milliseconds.
pub const COMMAND_TIMEOUT_MIN_MS: u64 = 100;
/// Longest time that a command may be given to run, in milliseconds (an hour).
pub const COMMAND_TIMEOUT_MAX_MS: u64 = 60 * 60 * 1000;
/// Longest SQL of an `osquery` command, in bytes.
pub const COMMAND_SQL_MAX_BYTES: usize = 64 * 1024;
/// Most arguments of a program that a command runs.
pub const COMMAND_ARGUMENTS_MAX: usize = 64;
/// Longest argument of a program that a command runs, in bytes.
pub const COMMAND_ARGUMENT_MAX_BYTES: usize = 16 * 1024;
/// Most processes that a `process.list` command asks for.
pub const COMMAND_PROCESSES_MAX: u32 = 1_000;
/// Most metrics that a `metrics.start` command names.
pub const COMMAND_METRICS_MAX: usize = 32;
/// Longest interval that a command sets, in seconds (a day).
pub const COMMAND_INTERVAL_MAX_S: u32 = 24 * 60 * 60;
/// Longest reason text in an answer to a command, in characters.
pub const COMMAND_REASON_MAX_CHARS: usize = 512;
