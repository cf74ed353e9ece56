//! What a check found, and the report of all of them.

use serde::Serialize;

use crate::output::{Colour, coloured};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    Warn,
    Fail,
}

/// What one check found.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    check: String,
    level: Level,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check: check.into(), level: Level::Ok, found: found.into(), remedy: None }
    }

    /// Worth a look; nothing is broken.
    pub(super) fn warn(
        check: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { check: check.into(), level: Level::Warn, found: found.into(), remedy }
    }

    /// Something is wrong; `remedy` is what to type.
    pub(super) fn fail(
        check: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { level: Level::Fail, ..Self::warn(check, found, remedy) }
    }
}

/// All findings, in the order of the checks.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    well: bool,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(findings: Vec<Finding>) -> Self {
        let well = findings.iter().all(|finding| finding.level != Level::Fail);
        Self { well, findings }
    }

    /// Whether no check failed.
    pub(super) const fn is_well(&self) -> bool {
        self.well
    }

    pub(super) fn render(&self) -> String {
        let width = self.findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
        let indent = " ".repeat(width + 8);
        let mut text = String::new();
        for finding in &self.findings {
            let found = finding.found.trim().replace('\n', &format!("\n{indent}"));
            let word = word(finding.level);
            text.push_str(&format!("{word}  {:<width$}  {found}\n", finding.check));
            if let Some(remedy) = &finding.remedy {
                text.push_str(&format!("{indent}remedy: {remedy}\n"));
            }
        }
        let count = |level| self.findings.iter().filter(|one| one.level == level).count();
        let (ok, warn, fail) = (count(Level::Ok), count(Level::Warn), count(Level::Fail));
        text.push_str(&format!("{ok} ok, {warn} to look at, {fail} failed"));
        text
    }
}

fn word(level: Level) -> String {
    match level {
        Level::Ok => coloured("ok  ", Colour::Green),
        Level::Warn => coloured("warn", Colour::Yellow),
        Level::Fail => coloured("fail", Colour::Red),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_shows_found_and_remedy_in_columns() {
        let report = Report::new(vec![
            Finding::ok("redis", "localhost:6379"),
            Finding::fail("streams", "two\nlines", "wegweiser streams apply"),
        ]);
        assert!(!report.is_well());
        assert_eq!(
            report.render(),
            "ok    redis    localhost:6379\n\
             fail  streams  two\n               lines\n               \
             remedy: wegweiser streams apply\n\
             1 ok, 0 to look at, 1 failed"
        );
    }

    #[test]
    fn a_warning_alone_is_well() {
        assert!(Report::new(vec![Finding::warn("rings", "none", "wait")]).is_well());
    }
}
