//! How the fleet does, in a number of series that does not grow with it.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use storage::{Attention, Records, TenantCounts};

use super::{Shared, answer};

/// Tenants that have series of their own: those with the most devices.
const TENANTS_NAMED: usize = 100;
/// Label of all other tenants together.
const OTHERS: &str = "others";
/// From here on a clock is off, as `wegweiser doctor` has it.
const CLOCK_OFF: Duration = Duration::from_secs(5);
/// Time in which somebody can still act before a device falls silent.
const CREDENTIALS_ENDING: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// The newest look; empty where Postgres does not answer.
#[derive(Default)]
pub(super) struct Seen {
    tenants: Option<Vec<TenantCounts>>,
    attention: Option<Attention>,
}

pub(super) async fn look(seen: &Shared<Seen>, records: &Records) {
    let tenants = answer("devices by tenant", records.devices_by_tenant(TENANTS_NAMED)).await;
    let attention = records.attention(CLOCK_OFF, CREDENTIALS_ENDING);
    let attention = answer("what needs attention", attention).await;
    *seen.lock() = Seen { tenants, attention };
}

pub(super) fn show(meter: &Meter, seen: &Shared<Seen>) {
    let by_tenant = |name, what, of: fn(&TenantCounts) -> i64| {
        let seen = seen.clone();
        meter
            .i64_observable_gauge(name)
            .with_description(what)
            .with_callback(move |observer| {
                for counts in seen.lock().tenants.iter().flatten() {
                    let tenant = counts.tenant.map(|tenant| tenant.to_string());
                    let tenant = tenant.unwrap_or_else(|| OTHERS.to_owned());
                    observer.observe(of(counts), &[KeyValue::new("tenant", tenant)]);
                }
            })
            .build();
    };
    by_tenant("wegweiser_tenant_devices_online", "Devices online.", |counts| counts.online);
    by_tenant("wegweiser_tenant_devices_known", "Devices that ever sent a heartbeat.", |counts| {
        counts.devices
    });
    let whole = |name, what, of: fn(&Seen) -> Option<i64>| {
        let seen = seen.clone();
        meter
            .i64_observable_gauge(name)
            .with_description(what)
            .with_callback(move |observer| {
                if let Some(value) = of(&seen.lock()) {
                    observer.observe(value, &[]);
                }
            })
            .build();
    };
    whole("wegweiser_devices_online", "Devices online.", |seen| {
        Some(seen.tenants.as_ref()?.iter().map(|counts| counts.online).sum())
    });
    whole("wegweiser_devices_known", "Devices that ever sent a heartbeat.", |seen| {
        Some(seen.tenants.as_ref()?.iter().map(|counts| counts.devices).sum())
    });
    whole(
        "wegweiser_devices_clock_off",
        "Devices online whose clock is off by over 5 s.",
        |seen| Some(seen.attention?.clock_off),
    );
    whole(
        "wegweiser_devices_credentials_ending",
        "Active devices whose newest credential ends within 3 days or has ended.",
        |seen| Some(seen.attention?.credentials_ending),
    );
}
