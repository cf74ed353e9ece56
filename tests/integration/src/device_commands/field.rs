//! A device as an operator adds it, with its agent and real receivers: what `wegweiser` is told to do
//! with it, and what becomes of that.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use protocol::{CommandId, DeviceId};
use storage::CommandRow;
use uuid::Uuid;

use crate::commands::desk::{send_to, until_within};
use crate::world::{Process, World};

/// Bound on what has to happen soon, generous since machines are busy.
pub(super) const WITHIN: Duration = Duration::from_secs(90);

pub(super) struct Field {
    pub(super) device: DeviceId,
    pub(super) home: PathBuf,
    environment: Vec<(String, String)>,
}

impl Field {
    /// Adds the device; its agent gets this configuration, in which `{home}` is its folder, and these
    /// variables.
    pub(super) async fn open(
        world: &World,
        configuration: &str,
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let (device, home) = (DeviceId::new(Uuid::now_v7()), world.path("home"));
        std::fs::create_dir(&home)?;
        let place = |name: &str| home.join(name).display().to_string();
        let (tenant, id) = (world.tenants[0].to_string(), device.to_string());
        let creds = place("device.creds");
        let add = ["device", "add", "--tenant", &tenant, "--device", &id, "--creds-out", &creds];
        let (code, said) = world.wegweiser(&add).await?;
        ensure!(code == 0, "{said}");
        let configuration = configuration.replace("{home}", &home.display().to_string());
        std::fs::write(home.join("agent.toml"), configuration)?;
        let mut environment = vec![
            ("NATS_URL".to_owned(), world.nats.url().to_owned()),
            ("NATS_CREDS".to_owned(), creds),
            ("WEGWEISER_AGENT_CONFIG".to_owned(), place("agent.toml")),
            ("WEGWEISER_AGENT_SPOOL_DIR".to_owned(), place("spool")),
            ("WEGWEISER_AGENT_STATUS_FILE".to_owned(), place("status.json")),
        ];
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        environment.extend(variables.iter().map(owned));
        Ok(Self { device, home, environment })
    }

    pub(super) fn start(&self, world: &World) -> Result<Process> {
        Process::start("wegweiser-agent", &self.environment, &world.path(""))
    }

    /// Sends a command to it, without waiting.
    pub(super) async fn send(&self, world: &World, order: &[&str]) -> Result<CommandId> {
        send_to(world, self.device, order).await
    }
}

/// Waits until a command is in a state.
pub(super) async fn until_state(
    world: &World,
    command: CommandId,
    state: &str,
) -> Result<CommandRow> {
    until_within(WITHIN, world, command, state).await
}
