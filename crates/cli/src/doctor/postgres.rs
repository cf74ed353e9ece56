//! Postgres: reachable, migrated, its clock, and how many devices it knows.

use storage::{DeviceRow, PostgresSettings, Records};

use super::finding::Finding;
use super::offset::Stopwatch;
use super::{CLOCK_OFF_MS, answer, with_sources};

/// Devices are counted no further than this.
const DEVICES_COUNTED_MAX: u32 = 100_000;
const REMEDY: &str = "pg_isready -d \"$DATABASE_URL\"; start it, or correct DATABASE_URL";

pub(super) async fn check(settings: &PostgresSettings) -> Vec<Finding> {
    let records = match Records::open(settings) {
        Ok(records) => records,
        Err(error) => return vec![Finding::fail("postgres", with_sources(&error), REMEDY)],
    };
    let (mut findings, schema, devices) =
        tokio::join!(reached(&records), schema(&records), devices(&records));
    findings.push(schema);
    findings.extend(devices);
    findings
}

async fn reached(records: &Records) -> Vec<Finding> {
    // The first question also makes the connection, which would blur the clock's.
    if let Err(reason) = answer(records.server_time()).await {
        return vec![Finding::fail("postgres", reason, REMEDY)];
    }
    let watch = Stopwatch::start();
    let clock = match answer(records.server_time()).await {
        Ok(time) => watch.finding("postgres clock", time),
        Err(reason) => Finding::fail("postgres clock", reason, REMEDY),
    };
    vec![Finding::ok("postgres", "answers"), clock]
}

async fn schema(records: &Records) -> Finding {
    match answer(records.migration_state()).await {
        Ok(state) if state.is_current() => {
            Finding::ok("schema", format!("{} migration(s) applied", state.applied))
        }
        Ok(state) => {
            let found = format!("{} of {} migration(s) applied", state.applied, state.known.len());
            Finding::fail("schema", found, "wegweiser migrate")
        }
        Err(reason) => Finding::fail("schema", reason, REMEDY),
    }
}

async fn devices(records: &Records) -> Vec<Finding> {
    let devices = match answer(records.devices(None, None, DEVICES_COUNTED_MAX)).await {
        Ok(devices) => devices,
        Err(reason) => return vec![Finding::fail("devices", reason, "wegweiser migrate")],
    };
    let online = devices.iter().filter(|device| device.online).count();
    let found = format!("{} known, {online} online", devices.len());
    if devices.is_empty() {
        let remedy = "wegweiser device add --tenant TENANT --creds-out FILE";
        return vec![Finding::warn("devices", found, remedy)];
    }
    if online == 0 {
        return vec![Finding::warn("devices", found, "wegweiser streams status")];
    }
    vec![Finding::ok("devices", found), clocks(&devices)]
}

/// Of devices that are online: what the others said last may be long ago.
fn clocks(devices: &[DeviceRow]) -> Finding {
    const CHECK: &str = "device clocks";
    let is_off = |device: &&DeviceRow| device.online && device.clock_offset_ms.abs() > CLOCK_OFF_MS;
    let off = devices.iter().filter(is_off);
    let Some(worst) = off.clone().max_by_key(|device| device.clock_offset_ms.abs()) else {
        return Finding::ok(CHECK, "none is off");
    };
    let (count, by) = (off.count(), worst.clock_offset_ms);
    let found =
        format!("{count} off by more than {CLOCK_OFF_MS} ms, {} by {by:+} ms", worst.device);
    Finding::warn(CHECK, found, "on the device: timedatectl set-ntp true")
}
