//! What the agent does about commands: the device's side of them is in `broker::commands`; here is
//! what each kind does on this machine, and what this device's owner allows.
//!
//! Promises: without keys that sign commands nothing is fetched; a journal that cannot be used is
//! tried again, and until then nothing is taken.

mod allow;
mod group;
mod osquery;
mod output;
mod program;
mod runner;
mod wishes;

use std::path::{Path, PathBuf};
use std::time::Duration;

use broker::{BelievedKeys, Broker, CommandSettings, DeviceCommands, Outbox, Sender, Trouble};
use protocol::CommandReport;
use runtime::shutdown::CancellationToken;
use tokio::sync::watch;

pub(crate) use allow::{AllowedProgram, Pattern};
pub(crate) use osquery::OsqueryPlan;
use runner::AgentRunner;
pub(crate) use wishes::{Granted, Wish, WishBox, Wishes};

/// How often to try again whether the journal or the keys can be used.
const OPEN_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// What the agent is told about commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandPlan {
    pub(crate) device: CommandSettings,
    /// File with the public keys that sign commands.
    pub(crate) keys: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) osquery: OsqueryPlan,
    /// What `run` may start.
    pub(crate) programs: Vec<AllowedProgram>,
}

/// Bounds of what a command starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Most that is kept of each of a program's two outputs, in bytes.
    pub(crate) output_max_bytes: u64,
    /// Most processes of the agent's user while a program starts more.
    pub(crate) processes_max: u64,
}

/// The commands of this device; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Commands {
    opened: watch::Sender<Option<DeviceCommands<AgentRunner>>>,
    trouble: watch::Sender<Option<String>>,
    /// Why none is taken although nothing is wrong.
    refused: watch::Sender<Option<String>>,
}

impl Commands {
    pub(crate) fn new() -> Self {
        Self {
            opened: watch::Sender::new(None),
            trouble: watch::Sender::new(None),
            refused: watch::Sender::new(None),
        }
    }

    /// Carries commands out until `stop`.
    pub(crate) async fn live(
        &self,
        plan: Option<CommandPlan>,
        (sender, outbox, wishes): (Sender, &Outbox, &WishBox),
        stop: &CancellationToken,
    ) {
        let opening = self.open_patiently(plan, (sender, outbox, wishes));
        if let Some(commands) = stop.run_until_cancelled(opening).await {
            self.opened.send_replace(Some(commands.clone()));
            commands.work(stop).await;
        }
    }

    async fn open_patiently(
        &self,
        plan: Option<CommandPlan>,
        (sender, outbox, wishes): (Sender, &Outbox, &WishBox),
    ) -> DeviceCommands<AgentRunner> {
        let Some(plan) = plan else {
            tracing::info!("commands are switched off");
            self.refused.send_replace(Some(SWITCHED_OFF.to_owned()));
            return std::future::pending().await;
        };
        loop {
            let opened = open(&plan, (sender, outbox, wishes)).await;
            match opened {
                Ok(Some(commands)) => {
                    self.trouble.send_replace(None);
                    self.refused.send_replace(None);
                    return commands;
                }
                Ok(None) => {
                    self.trouble.send_replace(None);
                    if self.refused.send_replace(Some(without_keys(&plan.keys))).is_none() {
                        let keys = plan.keys.display();
                        tracing::warn!(%keys, "commands are refused: no keys that sign them");
                    }
                }
                Err(error) => {
                    let reason = format!("{error:#}");
                    let told = Some(reason.clone());
                    if self.trouble.send_if_modified(|held| {
                        let changed = *held != told;
                        held.clone_from(&told);
                        changed
                    }) {
                        tracing::error!(reason, "no commands are taken, trying again");
                    }
                }
            }
            tokio::time::sleep(OPEN_AGAIN_AFTER).await;
        }
    }

    /// Fetches them for ever, once they can be carried out.
    pub(crate) async fn fetch(&self, broker: &Broker) {
        let mut opened = self.opened.subscribe();
        let commands = match opened.wait_for(Option::is_some).await {
            Ok(opened) => opened.clone(),
            Err(_) => None,
        };
        match commands {
            Some(commands) => commands.fetch(broker).await,
            None => std::future::pending().await,
        }
    }

    /// What stands in a heartbeat.
    pub(crate) fn report(&self) -> CommandReport {
        self.opened.borrow().as_ref().map(DeviceCommands::report).unwrap_or_default()
    }

    /// Why none is taken although nothing is wrong, and what would change it.
    pub(crate) fn refused(&self) -> Option<String> {
        self.refused.borrow().clone()
    }

    /// What keeps commands from being taken, if anything.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let unopened = self.trouble.borrow().clone().map(|reason| {
            let remedy = "mend the folder's or the file's rights; it is tried again by itself";
            Trouble::new(format!("commands are not taken: {reason}"), remedy)
        });
        unopened.or_else(|| self.opened.borrow().as_ref()?.trouble())
    }
}

const SWITCHED_OFF: &str = "refused: switched off in the configuration (commands.enabled)";

fn without_keys(path: &Path) -> String {
    format!(
        "refused: no keys that sign them in {}; write what your operator's `wegweiser command-key \
         show` prints into it, it is looked for by itself",
        path.display()
    )
}

/// `None`: there are no keys.
async fn open(
    plan: &CommandPlan,
    (sender, outbox, wishes): (Sender, &Outbox, &WishBox),
) -> anyhow::Result<Option<DeviceCommands<AgentRunner>>> {
    let (plan, outbox, wishes) = (plan.clone(), outbox.clone(), wishes.clone());
    let opening = tokio::task::spawn_blocking(move || {
        let Some(keys) = BelievedKeys::load(&plan.keys)? else { return Ok(None) };
        let runner = AgentRunner::new(&plan, sender, wishes);
        let device = plan.device.clone();
        Ok(Some(DeviceCommands::open(sender, device, keys, outbox, runner)?))
    });
    opening.await?
}
