//! The registry of what can be ordered: names, time limits, and who knows what.

use std::fmt;

use serde_json::Value;

use super::arguments::{
    Cancel, MetricsStart, NoArguments, Osquery, ProcessList, Run, SetInterval, TrustKeys,
};

/// A kind of command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CommandKind {
    /// Answers.
    Ping,
    /// Tells of the machine.
    SystemInfo,
    /// Lists processes.
    ProcessList,
    /// Asks osquery.
    Osquery,
    /// Runs a program that the device's own configuration allows.
    Run,
    /// Changes how often a collector looks, until the agent restarts.
    SetInterval,
    /// Lets every collector look at once.
    CollectNow,
    /// Ends another command.
    Cancel,
    /// Brings the keys that commands are signed with from now on.
    TrustKeys,
    /// Measures metrics more often, for a time.
    MetricsStart,
    /// Ends that.
    MetricsStop,
}

/// What there is to say of a kind.
struct About {
    name: &'static str,
    summary: &'static str,
    timeout_ms: u64,
    first_generation: Option<&'static str>,
}

impl CommandKind {
    /// Every kind, as listed to people.
    pub const ALL: [Self; 11] = [
        Self::Ping,
        Self::SystemInfo,
        Self::ProcessList,
        Self::Osquery,
        Self::Run,
        Self::SetInterval,
        Self::CollectNow,
        Self::Cancel,
        Self::TrustKeys,
        Self::MetricsStart,
        Self::MetricsStop,
    ];

    const fn about(self) -> About {
        const SECOND_MS: u64 = 1_000;
        const fn about(name: &'static str, timeout_s: u64, summary: &'static str) -> About {
            About { name, summary, timeout_ms: timeout_s * SECOND_MS, first_generation: None }
        }
        match self {
            Self::Ping => About {
                first_generation: Some("ping"),
                ..about("ping", 10, "answers, with the agent's version")
            },
            Self::SystemInfo => About {
                first_generation: Some("system_info"),
                ..about("system.info", 30, "host, processor, memory, disks and networks")
            },
            Self::ProcessList => About {
                first_generation: Some("psutil_info"),
                ..about("process.list", 30, "the processes that use the processor most")
            },
            Self::Osquery => About {
                first_generation: Some("osquery"),
                ..about("osquery", 60, "the rows that osquery answers to a SQL query")
            },
            Self::Run => {
                about("run", 60, "runs a program that the device's own configuration allows")
            }
            Self::SetInterval => {
                about("agent.set-interval", 10, "how often a collector looks, until a restart")
            }
            Self::CollectNow => {
                about("agent.collect-now", 10, "lets every collector look and report at once")
            }
            Self::Cancel => {
                about("agent.cancel", 10, "ends another command, or keeps it from running")
            }
            Self::TrustKeys => {
                about("agent.trust-keys", 10, "the keys that commands are signed with from now on")
            }
            Self::MetricsStart => About {
                first_generation: Some("start_metrics"),
                ..about("metrics.start", 10, "measures metrics at an interval, for a time")
            },
            Self::MetricsStop => About {
                first_generation: Some("stop_metrics"),
                ..about("metrics.stop", 10, "ends what metrics.start began")
            },
        }
    }

    /// Its name, as on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.about().name
    }

    /// What it does, in a few words.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        self.about().summary
    }

    /// How long it may run where nobody says, in milliseconds.
    #[must_use]
    pub const fn default_timeout_ms(self) -> u64 {
        self.about().timeout_ms
    }

    /// What agents of the first generation call it; `None`: they do not know it.
    #[must_use]
    pub const fn first_generation(self) -> Option<&'static str> {
        self.about().first_generation
    }

    /// The kind of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The JSON schema (2020-12) of its arguments.
    #[must_use]
    pub fn schema(self) -> Value {
        let schema = match self {
            Self::Ping | Self::SystemInfo | Self::CollectNow | Self::MetricsStop => {
                schemars::schema_for!(NoArguments)
            }
            Self::ProcessList => schemars::schema_for!(ProcessList),
            Self::Osquery => schemars::schema_for!(Osquery),
            Self::Run => schemars::schema_for!(Run),
            Self::SetInterval => schemars::schema_for!(SetInterval),
            Self::Cancel => schemars::schema_for!(Cancel),
            Self::TrustKeys => schemars::schema_for!(TrustKeys),
            Self::MetricsStart => schemars::schema_for!(MetricsStart),
        };
        schema.to_value()
    }
}

impl fmt::Display for CommandKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
