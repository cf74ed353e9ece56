//! One device: whether its heartbeats and its points arrive.

use protocol::{AGENT_METRICS, DeviceId, MetricType, UnixMillis};
use storage::{DeviceRow, PostgresSettings, Records, RedisSettings, RingPoint, Rings};

use super::finding::Finding;
use super::{CLOCK_OFF_MS, answer};
use crate::clock::{age, exact};

/// A newest point older than this is no live data.
const POINT_LATE_MS: i64 = 60_000;
const ON_THE_DEVICE: &str = "on the device: journalctl -u wegweiser-agent";

pub(super) async fn check(
    device: DeviceId,
    redis: &RedisSettings,
    postgres: &PostgresSettings,
) -> Vec<Finding> {
    let (mut findings, points) = tokio::join!(presence(device, postgres), points(device, redis));
    findings.push(points);
    findings
}

async fn presence(device: DeviceId, settings: &PostgresSettings) -> Vec<Finding> {
    const CHECK: &str = "device heartbeat";
    let found = match Records::open(settings) {
        Ok(records) => answer(records.devices(None, Some(device), 2)).await,
        Err(error) => Err(error.to_string()),
    };
    let rows = match found {
        Ok(rows) => rows,
        Err(reason) => return vec![Finding::fail(CHECK, reason, "see postgres above")],
    };
    match rows.as_slice() {
        [] => {
            let remedy =
                format!("wegweiser device add --tenant TENANT --device {device} --creds-out FILE");
            vec![Finding::fail(CHECK, "none was ever taken: the device is unknown", remedy)]
        }
        [row] => vec![heartbeat(row), clock(row)],
        _ => {
            let found = "two tenants have a device of this id";
            vec![Finding::fail(CHECK, found, "give one of them a new UUID: wegweiser device add")]
        }
    }
}

fn heartbeat(row: &DeviceRow) -> Finding {
    const CHECK: &str = "device heartbeat";
    let found = format!(
        "{}, the last one {} ago ({}), agent {}",
        if row.online { "online" } else { "offline" },
        age(row.last_heartbeat, UnixMillis::now()),
        exact(row.last_heartbeat),
        row.agent_version.as_deref().unwrap_or("of unknown version"),
    );
    if row.online { Finding::ok(CHECK, found) } else { Finding::fail(CHECK, found, ON_THE_DEVICE) }
}

fn clock(row: &DeviceRow) -> Finding {
    const CHECK: &str = "device clock";
    let found = format!("{:+} ms from the broker's at its last heartbeat", row.clock_offset_ms);
    if row.clock_offset_ms.abs() > CLOCK_OFF_MS {
        return Finding::warn(CHECK, found, "on the device: timedatectl set-ntp true");
    }
    Finding::ok(CHECK, found)
}

async fn points(device: DeviceId, settings: &RedisSettings) -> Finding {
    const CHECK: &str = "device metrics";
    let newest = match newest_point(device, settings).await {
        Ok(newest) => newest,
        Err(reason) => return Finding::fail(CHECK, reason, "see redis above"),
    };
    let Some((metric, point)) = newest else {
        let found = format!("no point within {} s", settings.ttl.as_secs());
        return Finding::fail(CHECK, found, ON_THE_DEVICE);
    };
    let now = UnixMillis::now();
    let at = point.timestamp;
    let found = format!("newest is {metric}, {} ago ({})", age(at, now), exact(at));
    if now.since(at) > POINT_LATE_MS {
        return Finding::fail(CHECK, found, "wegweiser streams status; then as for the heartbeat");
    }
    Finding::ok(CHECK, found)
}

async fn newest_point(
    device: DeviceId,
    settings: &RedisSettings,
) -> Result<Option<(MetricType, RingPoint)>, String> {
    let rings = Rings::open(settings).map_err(|error| error.to_string())?;
    let mut newest: Option<(MetricType, RingPoint)> = None;
    for name in AGENT_METRICS {
        let metric: MetricType = name.parse().map_err(|error| format!("{error}"))?;
        let points = answer(rings.newest(device, &metric, 1)).await?;
        let Some(point) = points.last() else {
            continue;
        };
        if newest.as_ref().is_none_or(|(_, held)| held.timestamp < point.timestamp) {
            newest = Some((metric, *point));
        }
    }
    Ok(newest)
}
