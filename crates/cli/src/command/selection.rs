//! Which devices a command goes to.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use protocol::{DeviceId, TenantId};
use storage::{CommandTarget, Records, TargetFilter};

use crate::device::label;
use crate::output;

/// Most devices of one sending.
const DEVICES_MAX: u32 = 100_000;

/// Which devices are meant; all that is given has to hold.
#[derive(Args, Debug)]
pub(super) struct Selection {
    /// This device (UUID); by repeating, several.
    #[arg(long = "device", value_name = "UUID")]
    devices: Vec<DeviceId>,
    /// The devices that this file names, one a line; - for standard input.
    #[arg(long, value_name = "FILE")]
    devices_from: Option<PathBuf>,
    /// Those of this tenant (UUID).
    #[arg(long, value_name = "UUID")]
    tenant: Option<TenantId>,
    /// Those with this label, such as site=cologne; by repeating, with all of them.
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// All devices of all tenants.
    #[arg(long, conflicts_with_all = ["devices", "devices_from", "tenant", "label"])]
    all: bool,
}

/// Those that may not connect, with a word about them.
fn leave_out(targets: &mut Vec<CommandTarget>) -> anyhow::Result<()> {
    let meant = targets.len();
    targets.retain(|target| target.may_connect);
    let left_out = meant - targets.len();
    if left_out > 0 && targets.is_empty() {
        bail!(
            "all {left_out} devices that are meant are revoked, or of a suspended tenant; see: \
             wegweiser device list, wegweiser tenant list"
        );
    }
    if left_out > 0 {
        output::note(&format!("{left_out} left out: revoked, or of a suspended tenant"));
    }
    Ok(())
}

impl Selection {
    /// The devices that are meant. One that is named and not there, or may not connect, is a
    /// mistake; of others, those that may not connect are left out.
    pub(super) async fn targets(&self, records: &Records) -> anyhow::Result<Vec<CommandTarget>> {
        let named = self.named()?;
        let nothing = named.is_none() && self.tenant.is_none() && self.label.is_empty();
        if nothing && !self.all {
            bail!("say to whom: --device, --devices-from, --tenant, --label or --all");
        }
        let filter = TargetFilter {
            tenant: self.tenant,
            devices: named.clone().map(|named| named.into_iter().collect()),
            labels: label::read(&self.label)?,
        };
        let found = records.command_targets(&filter, DEVICES_MAX + 1).await;
        let mut targets = found.context("looking for the devices")?;
        if targets.len() > usize::try_from(DEVICES_MAX)? {
            bail!("more than {DEVICES_MAX} devices are meant; send tenant by tenant");
        }
        match named {
            Some(named) => self.check_named(&named, &targets)?,
            None => leave_out(&mut targets)?,
        }
        if targets.is_empty() {
            bail!("no device is meant; see: wegweiser devices, wegweiser device list");
        }
        Ok(targets)
    }

    fn check_named(
        &self,
        named: &BTreeSet<DeviceId>,
        targets: &[CommandTarget],
    ) -> anyhow::Result<()> {
        let mut found = BTreeSet::new();
        for target in targets {
            if !found.insert(target.device) {
                let device = target.device;
                bail!("device {device} reports under more than one tenant; give --tenant");
            }
        }
        // Of named ones, a label or tenant chooses; without, each has to be there.
        let chosen = self.tenant.is_some() || !self.label.is_empty();
        match named.iter().find(|device| !found.contains(device)) {
            Some(device) if !chosen => {
                bail!(
                    "device {device} is unknown: it is not registered and sent no heartbeat; see: \
                     wegweiser device list"
                )
            }
            _ => Ok(()),
        }
    }

    fn named(&self) -> anyhow::Result<Option<BTreeSet<DeviceId>>> {
        let mut named: BTreeSet<DeviceId> = self.devices.iter().copied().collect();
        if let Some(path) = &self.devices_from {
            let reading = || format!("reading the devices in {}", path.display());
            let text = match path.to_str() {
                Some("-") => std::io::read_to_string(std::io::stdin()),
                _ => std::fs::read_to_string(path),
            };
            for line in text.with_context(reading)?.lines() {
                let line = line.trim();
                if !line.is_empty() {
                    named.insert(line.parse().with_context(reading)?);
                }
            }
            return Ok(Some(named));
        }
        Ok((!named.is_empty()).then_some(named))
    }
}
