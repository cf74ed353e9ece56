//! What the agents of a load say in their log: they run in this process.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use tempfile::NamedTempFile;
use tracing_subscriber::filter::LevelFilter;

/// The log of all agents, from when it was begun.
pub(crate) struct AgentsLog(NamedTempFile);

impl AgentsLog {
    /// Once a run: there is one for the process.
    pub(crate) fn begin() -> Result<Self> {
        let file = NamedTempFile::new()?;
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(LevelFilter::WARN)
            .with_writer(Arc::new(file.reopen()?))
            .try_init()
            .map_err(|error| anyhow!(error))?;
        Ok(Self(file))
    }

    /// How many lines contain `text`.
    pub(crate) fn lines_with(&self, text: &str) -> Result<usize> {
        let log = std::fs::read_to_string(self.0.path())?;
        Ok(log.lines().filter(|line| line.contains(text)).count())
    }
}
