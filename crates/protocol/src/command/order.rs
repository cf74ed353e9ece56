//! What is ordered, with typed arguments.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::CommandKind;
use super::arguments::{
    Cancel, Checked, MetricsStart, NoArguments, Osquery, ProcessList, Run, SetInterval, TrustKeys,
};

/// A kind with its arguments, within their limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Answer.
    Ping(NoArguments),
    /// Tell of the machine.
    SystemInfo(NoArguments),
    /// List processes.
    ProcessList(ProcessList),
    /// Ask osquery.
    Osquery(Osquery),
    /// Run a program.
    Run(Run),
    /// Change how often a collector looks.
    SetInterval(SetInterval),
    /// Let every collector look.
    CollectNow(NoArguments),
    /// End another command.
    Cancel(Cancel),
    /// Believe these keys.
    TrustKeys(TrustKeys),
    /// Measure more often for a time.
    MetricsStart(MetricsStart),
    /// End that.
    MetricsStop(NoArguments),
}

/// What is no order.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OrderError {
    /// No kind has this name.
    #[error("kind {0:?} is unknown; see wegweiser command kinds, or update the agent")]
    UnknownKind(String),
    /// The arguments are outside the kind's schema.
    #[error("arguments of {kind}: {problem}")]
    Arguments {
        /// Of which kind.
        kind: CommandKind,
        /// The field, what is wrong with it, and the remedy.
        problem: String,
    },
}

/// Longest excerpt of a bad value that an error repeats, in characters.
const EXCERPT_CHARS: usize = 300;

impl Order {
    /// Reads a kind's name and its arguments; `null` are none.
    ///
    /// # Errors
    /// The kind is unknown, or its arguments are outside its schema.
    pub fn parse(kind: &str, arguments: &Value) -> Result<Self, OrderError> {
        let Some(known) = CommandKind::of(kind) else {
            return Err(OrderError::UnknownKind(kind.chars().take(EXCERPT_CHARS).collect()));
        };
        let read = match known {
            CommandKind::Ping => read(arguments).map(Self::Ping),
            CommandKind::SystemInfo => read(arguments).map(Self::SystemInfo),
            CommandKind::ProcessList => read(arguments).map(Self::ProcessList),
            CommandKind::Osquery => read(arguments).map(Self::Osquery),
            CommandKind::Run => read(arguments).map(Self::Run),
            CommandKind::SetInterval => read(arguments).map(Self::SetInterval),
            CommandKind::CollectNow => read(arguments).map(Self::CollectNow),
            CommandKind::Cancel => read(arguments).map(Self::Cancel),
            CommandKind::TrustKeys => read(arguments).map(Self::TrustKeys),
            CommandKind::MetricsStart => read(arguments).map(Self::MetricsStart),
            CommandKind::MetricsStop => read(arguments).map(Self::MetricsStop),
        };
        read.map_err(|problem| {
            let problem = problem.chars().take(EXCERPT_CHARS).collect();
            OrderError::Arguments { kind: known, problem }
        })
    }

    /// Of which kind it is.
    #[must_use]
    pub const fn kind(&self) -> CommandKind {
        match self {
            Self::Ping(_) => CommandKind::Ping,
            Self::SystemInfo(_) => CommandKind::SystemInfo,
            Self::ProcessList(_) => CommandKind::ProcessList,
            Self::Osquery(_) => CommandKind::Osquery,
            Self::Run(_) => CommandKind::Run,
            Self::SetInterval(_) => CommandKind::SetInterval,
            Self::CollectNow(_) => CommandKind::CollectNow,
            Self::Cancel(_) => CommandKind::Cancel,
            Self::TrustKeys(_) => CommandKind::TrustKeys,
            Self::MetricsStart(_) => CommandKind::MetricsStart,
            Self::MetricsStop(_) => CommandKind::MetricsStop,
        }
    }

    /// Its arguments as JSON, with what was left out filled in.
    #[must_use]
    pub fn arguments(&self) -> Value {
        match self {
            Self::Ping(_) | Self::SystemInfo(_) | Self::CollectNow(_) | Self::MetricsStop(_) => {
                Value::Object(Map::new())
            }
            Self::ProcessList(arguments) => written(arguments),
            Self::Osquery(arguments) => written(arguments),
            Self::Run(arguments) => written(arguments),
            Self::SetInterval(arguments) => written(arguments),
            Self::Cancel(arguments) => written(arguments),
            Self::TrustKeys(arguments) => written(arguments),
            Self::MetricsStart(arguments) => written(arguments),
        }
    }
}

fn read<T: DeserializeOwned + Checked>(arguments: &Value) -> Result<T, String> {
    let none = Value::Object(Map::new());
    let given = if arguments.is_null() { &none } else { arguments };
    if !given.is_object() {
        return Err("give an object with the arguments by their names".to_owned());
    }
    let read: T = serde_path_to_error::deserialize(given).map_err(|error| {
        let path = error.path().to_string();
        // At the top there is no field to name, and serde's own words name the one it misses.
        if path == "." { error.inner().to_string() } else { format!("{path}: {}", error.inner()) }
    })?;
    read.check()?;
    Ok(read)
}

/// Texts and numbers can always be written.
fn written(arguments: &impl Serialize) -> Value {
    serde_json::to_value(arguments).unwrap_or(Value::Null)
}
