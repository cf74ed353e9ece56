//! `wegweiser devices`: every device that ever sent a heartbeat, and whether it is online.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use protocol::{TenantId, UnixMillis};
use storage::DeviceRow;

use crate::clock::{age, exact};
use crate::device::label;
use crate::doctor::CLOCK_OFF_MS;
use crate::environment;
use crate::output::{self, Colour, Table, TableFormat, coloured};

/// Most devices that are read; more must be asked for tenant by tenant.
const DEVICES_MAX: u32 = 100_000;

/// Lists devices.
#[derive(Debug, Args)]
pub(crate) struct DevicesCommand {
    /// Only those of this tenant (UUID).
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Only those with this label, such as site=cologne; by repeating, with all of them.
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Only those that are online.
    #[arg(long, conflicts_with = "offline")]
    online: bool,
    /// Only those that are offline.
    #[arg(long)]
    offline: bool,
    /// A table for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

pub(crate) async fn run(command: DevicesCommand) -> anyhow::Result<ExitCode> {
    let records = environment::records()?;
    let labels = label::read(&command.label)?;
    let found = records.labelled_devices(command.tenant, &labels, DEVICES_MAX + 1).await;
    let mut devices = found.context("listing the devices")?;
    if devices.len() > usize::try_from(DEVICES_MAX)? {
        bail!("there are more than {DEVICES_MAX} devices; give --tenant");
    }
    if command.online {
        devices.retain(|device| device.online);
    }
    if command.offline {
        devices.retain(|device| !device.online);
    }
    match command.output {
        TableFormat::Json => output::json(&devices)?,
        TableFormat::Table => output::text(&table(&devices, UnixMillis::now()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(devices: &[DeviceRow], now: UnixMillis) -> String {
    let mut table = Table::new(&[
        "TENANT",
        "DEVICE",
        "STATE",
        "AGE",
        "LAST HEARTBEAT",
        "CLOCK",
        "AGENT VERSION",
    ]);
    for device in devices {
        let state = if device.online {
            coloured("online", Colour::Green)
        } else {
            coloured("offline", Colour::Red)
        };
        table.row(vec![
            device.tenant.to_string(),
            device.device.to_string(),
            state,
            age(device.last_heartbeat, now),
            exact(device.last_heartbeat),
            clock(device.clock_offset_ms),
            device.agent_version.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table.render()
}

/// How far a device's clock is ahead, in seconds.
fn clock(offset_ms: i64) -> String {
    let tenths = offset_ms / 100;
    let sign = if tenths < 0 { '-' } else { '+' };
    let text = format!("{sign}{}.{} s", tenths.abs() / 10, tenths.abs() % 10);
    if offset_ms.abs() > CLOCK_OFF_MS { coloured(&text, Colour::Yellow) } else { text }
}

#[cfg(test)]
mod tests {
    use super::clock;

    #[test]
    fn a_clock_is_told_with_its_direction() {
        for (offset, text) in
            [(0, "+0.0 s"), (-86, "+0.0 s"), (-4_321, "-4.3 s"), (61_250, "+61.2 s")]
        {
            assert_eq!(clock(offset), text);
        }
    }
}
