//! Commands to simulated devices: taken, noted and answered as the agent does it, on a machine that
//! is not there.
//!
//! A line of the log of executions is one JSON object: `command_id`, `device`, `kind` and `at_ms`,
//! written when a device begins a command, before anything else comes of it. An id that stands there
//! twice ran twice. Promises: what was written outlives a kill of this process; a journal outlives
//! it too, so that the next fleet of the same seed and tenants goes on where this one ended.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use broker::{
    BelievedKeys, CommandSettings, DeviceCommands, Ended, JournalSettings, Outbox, Runner, Sender,
    Work,
};
use identity::{KeyDir, PublicKey};
use protocol::command::{CommandReason, ReasonCode};
use protocol::{DeviceId, Order, UnixMillis};
use serde_json::json;

use super::curves::Machine;

/// Commands that one device carries out at one time.
const RUNNING_MAX: usize = 2;
const EXECUTIONS: &str = "executions.log";

/// What the devices share.
#[derive(Debug)]
pub(super) struct CommandPlace {
    dir: PathBuf,
    keys: Vec<PublicKey>,
    executions: File,
    last_up_to: Duration,
}

impl CommandPlace {
    /// # Errors
    /// The folder cannot be made, or a key is unusable.
    pub(super) fn make(dir: &Path, keys: &KeyDir, last_up_to: Duration) -> anyhow::Result<Self> {
        let making = || format!("making {} for the devices' journals", dir.display());
        fs::create_dir_all(dir).with_context(making)?;
        let path = dir.join(EXECUTIONS);
        let executions = File::options().create(true).append(true).open(&path);
        let executions = executions.with_context(|| format!("opening {}", path.display()))?;
        let secret = keys.command_keys().context("reading the keys that sign commands")?;
        let keys = secret.iter().map(|key| key.public().clone()).collect();
        Ok(Self { dir: dir.to_owned(), keys, executions, last_up_to })
    }

    /// The commands of one device.
    ///
    /// # Errors
    /// Its journal cannot be used.
    pub(super) fn open(
        self: &Arc<Self>,
        sender: Sender,
        outbox: Outbox,
        machine: Machine,
    ) -> anyhow::Result<DeviceCommands<Simulated>> {
        // Thousands of them, and a kill of this process is all that they are to outlive.
        let journal =
            JournalSettings { dir: self.dir.join(sender.device.to_string()), sync: false };
        let settings = CommandSettings { journal, running_max: RUNNING_MAX };
        let keys = BelievedKeys::in_memory(self.keys.clone());
        let runner = Simulated { place: Arc::clone(self), device: sender.device, machine };
        let opened = DeviceCommands::open(sender, settings, keys, outbox, runner);
        opened.with_context(|| format!("opening the journal of device {}", sender.device))
    }

    fn note(&self, device: DeviceId, kind: &str, work: &Work) -> std::io::Result<()> {
        let line = json!({
            "command_id": work.command_id(), "device": device, "kind": kind,
            "at_ms": UnixMillis::now(),
        });
        // One write, so that lines of several devices do not mix.
        (&self.executions).write_all(format!("{line}\n").as_bytes())
    }
}

/// Carries out nothing, notes it, and takes its time.
#[derive(Debug)]
pub(super) struct Simulated {
    place: Arc<CommandPlace>,
    device: DeviceId,
    machine: Machine,
}

impl Runner for Simulated {
    fn permits(&self, _order: &Order) -> Result<(), CommandReason> {
        Ok(())
    }

    async fn run(&self, order: Order, work: Work) -> Ended {
        let kind = order.kind().name();
        if let Err(error) = self.place.note(self.device, kind, &work) {
            let text = format!("the execution could not be noted: {error}");
            return Ended::badly(ReasonCode::Internal, &text, None);
        }
        let (high, _) = work.command_id().as_uuid().as_u64_pair();
        let lasts = self.place.last_up_to.mul_f64(self.machine.share(high));
        tokio::select! {
            () = tokio::time::sleep(lasts) => Ended::well(json!({ "simulated": true })),
            () = work.stop.cancelled() => Ended::badly(ReasonCode::Interrupted, "stopped", None),
        }
    }
}
