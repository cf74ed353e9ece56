//! What the agent prints when it is asked about itself, or asked wrongly.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::process::ExitCode;

use runtime::EXIT_USAGE;
use runtime::settings::markdown_table;

use crate::settings;

/// Prints an answer on standard output.
pub(crate) fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// Tells what keeps the agent from running, on standard error.
pub(crate) fn complain(text: &dyn Display) {
    // With standard error gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Words that mean nothing here.
pub(crate) fn mistake(words: &[String]) -> ExitCode {
    let words = words.join(" ");
    complain(&format!("wegweiser-agent: {words:?} is unknown; see wegweiser-agent --help"));
    ExitCode::from(EXIT_USAGE)
}

/// Name and version.
pub(crate) fn version() -> String {
    format!("wegweiser-agent {}", env!("CARGO_PKG_VERSION"))
}

/// Every setting with default and unit, as a markdown table.
pub(crate) fn settings() -> String {
    markdown_table(&settings::every())
}

/// How to use it, with every setting.
pub(crate) fn help() -> String {
    let mut help = format!(
        "{}: reports this device to Wegweiser\n\n\
         Usage: wegweiser-agent [run]        report until SIGTERM\n       \
         wegweiser-agent --settings   the settings as a markdown table\n       \
         wegweiser-agent --version\n\n\
         Settings, from the environment:\n",
        version()
    );
    let mut seen = Vec::new();
    for setting in settings::every() {
        if seen.contains(&setting.name) {
            continue;
        }
        seen.push(setting.name);
        let default = setting.default.map_or(String::new(), |value| format!(" [default: {value}]"));
        // Writing to a string does not fail.
        let _ = writeln!(
            help,
            "\n  {}{default}\n      {} ({})",
            setting.name, setting.help, setting.unit
        );
    }
    help
}
