//! The agent's own figures, for who asks it to show them (`status.listen`) or has them pushed.
//!
//! Promises: the same as stands in `status`; labels are kinds, reasons and collectors, all bounded.
//! Where nobody asks, nothing is collected.

use std::net::SocketAddr;

use broker::OutboxFigures;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use protocol::HeartbeatStatus;
use runtime::health::{self, Health};
use runtime::metrics::{self, Metrics};
use runtime::shutdown::CancellationToken;
use runtime::telemetry::TelemetrySettings;

use crate::condition::Condition;

/// Starts collecting, where somebody wants the figures.
///
/// # Errors
/// The OTLP exporter cannot be built.
pub(crate) fn start(
    listen: Option<SocketAddr>,
    telemetry: &TelemetrySettings,
    condition: &Condition,
) -> anyhow::Result<Option<Metrics>> {
    if listen.is_none() && !telemetry.pushes_metrics() {
        return Ok(None);
    }
    let metrics = metrics::start("wegweiser-agent", env!("CARGO_PKG_VERSION"), telemetry)?;
    let meter = metrics.meter();
    show_messages(&meter, condition);
    show_device(&meter, condition);
    Ok(Some(metrics))
}

/// Answers /healthz, /readyz and /metrics; never ends.
pub(crate) async fn answer(
    listen: Option<SocketAddr>,
    metrics: Option<Metrics>,
    condition: &Condition,
) -> anyhow::Result<()> {
    let (Some(listen), Some(metrics)) = (listen, metrics) else {
        return std::future::pending().await;
    };
    let health = Health::default();
    let broker = health.part("broker");
    let listener = health::bind(listen).await?;
    let serving = health::serve(listener, health, metrics, CancellationToken::new());
    let mut changes = condition.link().changes();
    let following = async {
        loop {
            match condition.link().state().trouble {
                None => broker.up(),
                Some(trouble) => broker.down(&trouble.to_string()),
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = serving => anyhow::bail!("status.listen no longer answers"),
        () = following => Ok(()),
    }
}

fn show_messages(meter: &Meter, condition: &Condition) {
    type Of = fn(&broker::KindFigures) -> u64;
    let counts: [(&'static str, &'static str, Of); 3] = [
        ("wegweiser_agent_messages_total", "Messages that this run has numbered.", |kind| {
            kind.handed
        }),
        (
            "wegweiser_agent_confirmed_messages_total",
            "Messages that their stream has confirmed, those of earlier runs included.",
            |kind| kind.confirmed + kind.recovered,
        ),
        (
            "wegweiser_agent_repeated_messages_total",
            "Messages sent once more, since no confirmation came.",
            |kind| kind.retried,
        ),
    ];
    for (name, what, of) in counts {
        let condition = condition.clone();
        let counter = meter.u64_observable_counter(name).with_description(what);
        counter
            .with_callback(move |observer| {
                for (kind, figures) in outbox(&condition).kinds() {
                    observer.observe(of(figures), &[KeyValue::new("kind", kind)]);
                }
            })
            .build();
    }
    let dropped = condition.clone();
    meter
        .u64_observable_counter("wegweiser_agent_dropped_messages_total")
        .with_description("Messages of this run given up, by reason.")
        .with_callback(move |observer| {
            for (kind, figures) in outbox(&dropped).kinds() {
                for (reason, count) in figures.dropped.each() {
                    let labels = [KeyValue::new("kind", kind), KeyValue::new("reason", reason)];
                    observer.observe(count, &labels);
                }
            }
        })
        .build();
    let waiting = condition.clone();
    meter
        .u64_observable_gauge("wegweiser_agent_waiting_messages")
        .with_description("Messages that are not confirmed yet, by where they are.")
        .with_callback(move |observer| {
            for (kind, figures) in outbox(&waiting).kinds() {
                for (place, count) in [
                    ("memory", figures.waiting),
                    ("sent", figures.in_flight),
                    ("disk", figures.on_disk),
                ] {
                    let labels = [KeyValue::new("kind", kind), KeyValue::new("place", place)];
                    observer.observe(count, &labels);
                }
            }
        })
        .build();
}

fn outbox(condition: &Condition) -> OutboxFigures {
    condition.outbox().figures()
}

fn show_device(meter: &Meter, condition: &Condition) {
    type Of = fn(&HeartbeatStatus) -> u64;
    let whole: [(&'static str, &'static str, Of); 3] = [
        ("wegweiser_agent_connected", "Whether the broker is connected.", |status| {
            u64::from(status.connected)
        }),
        ("wegweiser_agent_spool_bytes", "Bytes that the spool has on disk.", |status| {
            status.spooled_bytes
        }),
        ("wegweiser_agent_failing_collectors", "Collectors whose newest run failed.", |status| {
            status.collectors.values().filter(|report| report.error.is_some()).count() as u64
        }),
    ];
    for (name, what, of) in whole {
        let condition = condition.clone();
        let gauge = meter.u64_observable_gauge(name).with_description(what);
        gauge.with_callback(move |observer| observer.observe(of(&condition.status()), &[])).build();
    }
    let reconnects = condition.clone();
    meter
        .u64_observable_counter("wegweiser_broker_reconnects_total")
        .with_description("Connections to the broker that were made again.")
        .with_callback(move |observer| observer.observe(reconnects.status().reconnects, &[]))
        .build();
    let clock = condition.clone();
    meter
        .f64_observable_gauge("wegweiser_agent_clock_offset_seconds")
        .with_description("How far this clock is ahead of the broker's; absent where unknown.")
        .with_unit("s")
        .with_callback(move |observer| {
            if let Some(offset_ms) = clock.status().clock_offset_ms {
                let offset_ms = i32::try_from(offset_ms).unwrap_or(i32::MAX);
                observer.observe(f64::from(offset_ms) / 1_000.0, &[]);
            }
        })
        .build();
    let credential = condition.clone();
    meter
        .i64_observable_gauge("wegweiser_credential_expires_timestamp_seconds")
        .with_description("When this process's broker credential ends; absent where it never does.")
        .with_unit("s")
        .with_callback(move |observer| {
            if let Some(end) = credential.link().state().credentials_expire {
                observer.observe(end.as_i64(), &[]);
            }
        })
        .build();
}
