//! Our services, told where the story's servers are.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use devstack::DatabaseAddress;
use identity::{AccountName, UnixSeconds, issue_user};
use secrecy::ExposeSecret as _;

use super::{Process, World};

impl World {
    /// Credentials of the receiver's role in this file, good for so long.
    pub(crate) fn receiver_creds(&self, path: &Path, life: Duration) -> Result<()> {
        let until = Some(UnixSeconds::now().plus(life));
        // Whoever reads the file reads a whole one.
        let beside = path.with_extension("new");
        issue_user(&self.keys, AccountName::Backend, "receiver", "receiver", until)?
            .save(&beside)?;
        Ok(std::fs::rename(beside, path)?)
    }

    /// A receiver with further settings of the story's own.
    pub(crate) fn receiver(&self, settings: &[(&str, &str)]) -> Result<Process> {
        let creds = self.backend_creds("receiver")?;
        let mut environment = self.environment();
        environment.push(("NATS_CREDS".to_owned(), creds.display().to_string()));
        environment.push(("WEGWEISER_RECEIVER_LISTEN".to_owned(), "127.0.0.1:0".to_owned()));
        environment
            .extend(settings.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        Process::start("wegweiser-receiver", &environment, self.dir.path())
    }

    /// Simulated devices of all tenants, which report each second and answer commands.
    pub(crate) fn fleet(&self, devices: u32) -> Result<Process> {
        let creds = self.backend_creds("operator")?;
        let mut environment = self.environment();
        environment.push(("NATS_CREDS".to_owned(), creds.display().to_string()));
        let devices = devices.to_string();
        let arguments = ["fleet", "--devices", &devices, "--metrics-interval", "1s"];
        let beats = ["--heartbeat-interval", "2s", "--connect-over", "1s"];
        let arguments = [&arguments[..], &beats[..]].concat();
        Process::start_with("wegweiser", &arguments, &environment, self.dir.path())
    }

    /// The web service with its own sign-in at Postgres. It admits nobody, so it needs no keys.
    pub(crate) fn web(&self, database: DatabaseAddress) -> Result<Process> {
        self.web_with(database, &[("WEGWEISER_ISSUING_KEYS", "")])
    }

    /// The same with further settings of the story's own.
    pub(crate) fn web_with(
        &self,
        database: DatabaseAddress,
        settings: &[(&str, &str)],
    ) -> Result<Process> {
        let creds = self.backend_creds("web")?;
        let mut environment = self.environment();
        environment.retain(|(name, _)| name != "DATABASE_URL");
        environment.push(("DATABASE_URL".to_owned(), database.url().expose_secret().to_owned()));
        environment.push(("NATS_CREDS".to_owned(), creds.display().to_string()));
        environment.push(("WEGWEISER_WEB_LISTEN".to_owned(), "127.0.0.1:0".to_owned()));
        // Stories ask faster than people and programs do.
        for whose in ["CALLER", "ADDRESS"] {
            let rate = format!("WEGWEISER_WEB_{whose}_REQUESTS_PER_SECOND");
            environment.push((rate, "100000".to_owned()));
        }
        environment
            .extend(settings.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        Process::start("wegweiser-web", &environment, self.dir.path())
    }
}
