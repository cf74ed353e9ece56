//! Asks osquery: one query, read-only, as JSON.
//!
//! osquery itself is the policy: its own authorizer lets nothing but reading statements through
//! whatever the text looks like, and its own flags say which tables there are. Promises: no
//! extension, no event, no configuration of the machine's is loaded; the answer is whole or an
//! error. Refuses: to look for words in the query.

use std::path::PathBuf;

use broker::{Ended, Work};
use protocol::command::ReasonCode;
use serde_json::{Value, json};

use super::Limits;
use super::output::Sink;
use super::program;
use crate::replaceable;

/// How osquery is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OsqueryPlan {
    /// `osqueryi`.
    pub(crate) path: PathBuf,
    /// Tables that are not there.
    pub(crate) disabled_tables: Vec<String>,
    /// The only tables that are there; none: all but those.
    pub(crate) allowed_tables: Vec<String>,
}

/// Longest text of osquery's own words that an answer repeats, in characters.
const WORDS_MAX_CHARS: usize = 300;

impl OsqueryPlan {
    fn arguments(&self, sql: &str) -> Vec<String> {
        let mut arguments: Vec<String> = [
            "--json",
            "--flagfile=/dev/null",
            "--config_path=/dev/null",
            "--disable_database=true",
            "--disable_extensions=true",
            "--disable_events=true",
            "--disable_carver=true",
            "--disable_logging=true",
        ]
        .map(str::to_owned)
        .to_vec();
        if !self.disabled_tables.is_empty() {
            arguments.push(format!("--disable_tables={}", self.disabled_tables.join(",")));
        }
        if !self.allowed_tables.is_empty() {
            arguments.push(format!("--enable_tables={}", self.allowed_tables.join(",")));
        }
        arguments.push(sql.to_owned());
        arguments
    }

    /// The rows that it answers.
    pub(super) async fn ask(&self, sql: &str, limits: &Limits, work: &Work) -> Ended {
        let shown = self.path.display();
        if !self.path.exists() {
            let text = format!(
                "osquery is not installed at {shown}; install it, or set commands.osquery.path"
            );
            return Ended::badly(ReasonCode::ProgramMissing, &text, None);
        }
        if let Err(error) = replaceable::refuse(&self.path) {
            return Ended::badly(ReasonCode::ProgramMissing, &format!("{error:#}"), None);
        }
        let sinks = (Sink::Keep(Vec::new()), Sink::Keep(Vec::new()));
        let ran = program::run(&self.path, &self.arguments(sql), limits, sinks, &work.stop).await;
        let failed = |text: &str| Ended::badly(ReasonCode::ProgramFailed, text, None);
        let ran = match ran {
            Ok(ran) => ran,
            Err(error) => return failed(&format!("{error:#}")),
        };
        let cut = ran.stdout.is_cut() || ran.flooded;
        let (printed, words) = (ran.stdout.kept(), ran.stderr.kept());
        let words: String = String::from_utf8_lossy(&words).chars().take(WORDS_MAX_CHARS).collect();
        if !ran.status.is_some_and(|status| status.success()) {
            let status = ran.status.map_or("was ended".to_owned(), |status| status.to_string());
            return failed(&format!("{shown}: {status}: {}", words.trim()));
        }
        if cut {
            let most = limits.output_max_bytes;
            return failed(&format!(
                "the rows take more than {most} bytes; ask for less, or raise \
                 commands.output_max_bytes"
            ));
        }
        match serde_json::from_slice::<Value>(&printed) {
            Ok(rows @ Value::Array(_)) => Ended::well(json!({ "rows": rows })),
            // It prints nothing at all where the query is wrong, and says so beside.
            _ => failed(&format!("{shown} answered no rows: {}", words.trim())),
        }
    }
}
