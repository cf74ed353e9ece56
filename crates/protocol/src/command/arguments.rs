//! The arguments of each kind, and their limits.
//!
//! The schema that operators see and the check that an agent makes come from one type; what a type
//! cannot say is checked beside it, against the same limit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::{
    COMMAND_ARGUMENT_MAX_BYTES, COMMAND_ARGUMENTS_MAX, COMMAND_INTERVAL_MAX_S, COMMAND_METRICS_MAX,
    COMMAND_PROCESSES_MAX, COMMAND_SQL_MAX_BYTES, TEXT_FIELD_MAX_CHARS,
};
use crate::{CommandId, MetricType};

/// Shortest interval of live metrics, in milliseconds; as the agent's own setting.
const METRICS_INTERVAL_MIN_MS: u32 = 250;
/// Longest, in milliseconds.
const METRICS_INTERVAL_MAX_MS: u32 = 3_600_000;
/// Characters of a public key.
const KEY_CHARS: usize = 56;

/// What a type does not say of its values.
pub(super) trait Checked {
    /// # Errors
    /// A value is outside its limits; the text names its field and the remedy.
    fn check(&self) -> Result<(), String>;
}

/// None.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoArguments {}

impl Checked for NoArguments {
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Which processes to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessList {
    /// How many, those that use the processor most first.
    #[serde(default = "ProcessList::usual")]
    #[schemars(range(min = 1, max = COMMAND_PROCESSES_MAX))]
    pub limit: u32,
}

impl ProcessList {
    const fn usual() -> u32 {
        100
    }
}

impl Checked for ProcessList {
    fn check(&self) -> Result<(), String> {
        within("limit", self.limit, 1, COMMAND_PROCESSES_MAX)
    }
}

/// What to ask osquery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Osquery {
    /// One SQL query.
    #[schemars(length(min = 1, max = COMMAND_SQL_MAX_BYTES))]
    pub sql: String,
}

impl Checked for Osquery {
    fn check(&self) -> Result<(), String> {
        text("sql", &self.sql, COMMAND_SQL_MAX_BYTES)?;
        // A line with a dot in front is a command to the shell of osquery, not SQL.
        if self.sql.trim_start().starts_with(['.', '-']) {
            return Err(
                "sql: begins with a dot or a dash; give a query such as SELECT …".to_owned()
            );
        }
        Ok(())
    }
}

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The program with its whole path, as the device's configuration names it.
    #[schemars(length(min = 1, max = COMMAND_ARGUMENT_MAX_BYTES))]
    pub program: String,
    /// What it is given, one by one; no shell reads them.
    #[serde(default)]
    #[schemars(length(max = COMMAND_ARGUMENTS_MAX))]
    pub arguments: Vec<String>,
}

impl Checked for Run {
    fn check(&self) -> Result<(), String> {
        text("program", &self.program, COMMAND_ARGUMENT_MAX_BYTES)?;
        few("arguments", self.arguments.len(), 0, COMMAND_ARGUMENTS_MAX)?;
        for (index, argument) in self.arguments.iter().enumerate() {
            let field = format!("arguments[{index}]");
            let bytes = argument.len();
            if bytes > COMMAND_ARGUMENT_MAX_BYTES {
                let most = COMMAND_ARGUMENT_MAX_BYTES;
                return Err(format!("{field}: has {bytes} bytes; give up to {most}"));
            }
            no_nul(&field, argument)?;
        }
        Ok(())
    }
}

/// How often a collector looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetInterval {
    /// The collector's name in the agent's configuration, `heartbeat` or `monitoring`.
    #[schemars(length(min = 1, max = TEXT_FIELD_MAX_CHARS))]
    pub collector: String,
    /// The interval in seconds.
    #[schemars(range(min = 1, max = COMMAND_INTERVAL_MAX_S))]
    pub seconds: u32,
}

impl Checked for SetInterval {
    fn check(&self) -> Result<(), String> {
        text("collector", &self.collector, TEXT_FIELD_MAX_CHARS)?;
        within("seconds", self.seconds, 1, COMMAND_INTERVAL_MAX_S)
    }
}

/// Which command to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// Its id.
    #[schemars(with = "String", regex(pattern = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"))]
    pub command_id: CommandId,
}

impl Checked for Cancel {
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// The keys that commands are signed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustKeys {
    /// Public keys of command signers (V…), the newest first: they take the place of all that the
    /// device knows.
    #[schemars(length(min = 1, max = 2), inner(regex(pattern = "^V[A-Z2-7]{55}$")))]
    pub keys: Vec<String>,
}

impl Checked for TrustKeys {
    fn check(&self) -> Result<(), String> {
        few("keys", self.keys.len(), 1, 2)?;
        for (index, key) in self.keys.iter().enumerate() {
            let plain = |byte: u8| byte.is_ascii_uppercase() || matches!(byte, b'2'..=b'7');
            let good = key.len() == KEY_CHARS && key.starts_with('V') && key.bytes().all(plain);
            if !good {
                let shown: String = key.chars().take(KEY_CHARS).collect();
                return Err(format!(
                    "keys[{index}]: {shown:?} is no command signer's public key; give its \
                     {KEY_CHARS} characters, V…"
                ));
            }
        }
        Ok(())
    }
}

/// What to measure more often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsStart {
    /// Metric types, such as `cpu_percent`; none: all that the device measures.
    #[serde(default)]
    #[schemars(length(max = COMMAND_METRICS_MAX))]
    pub metrics: Vec<String>,
    /// How often, in milliseconds.
    #[schemars(range(min = METRICS_INTERVAL_MIN_MS, max = METRICS_INTERVAL_MAX_MS))]
    pub interval_ms: u32,
    /// For how long, in seconds.
    #[schemars(range(min = 1, max = COMMAND_INTERVAL_MAX_S))]
    pub ttl_s: u32,
}

impl Checked for MetricsStart {
    fn check(&self) -> Result<(), String> {
        few("metrics", self.metrics.len(), 0, COMMAND_METRICS_MAX)?;
        for (index, metric) in self.metrics.iter().enumerate() {
            let parsed = metric.parse::<MetricType>();
            parsed.map_err(|error| format!("metrics[{index}]: {error}"))?;
        }
        let (low, high) = (METRICS_INTERVAL_MIN_MS, METRICS_INTERVAL_MAX_MS);
        within("interval_ms", self.interval_ms, low, high)?;
        within("ttl_s", self.ttl_s, 1, COMMAND_INTERVAL_MAX_S)
    }
}

fn within(field: &str, value: u32, low: u32, high: u32) -> Result<(), String> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(format!("{field}: is {value}; give {low} to {high}"))
}

fn few(field: &str, count: usize, low: usize, high: usize) -> Result<(), String> {
    if (low..=high).contains(&count) {
        return Ok(());
    }
    Err(format!("{field}: has {count} entries; give {low} to {high}"))
}

fn text(field: &str, text: &str, max_bytes: usize) -> Result<(), String> {
    let bytes = text.len();
    if bytes == 0 || bytes > max_bytes {
        return Err(format!("{field}: has {bytes} bytes; give 1 to {max_bytes}"));
    }
    no_nul(field, text)
}

/// Neither a program's arguments nor a record can hold it.
fn no_nul(field: &str, text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err(format!("{field}: contains the character U+0000; leave it out"));
    }
    Ok(())
}
