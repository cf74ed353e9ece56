//! Leg (l): the same drain with all that can be seen from outside switched on, and switched off.
//!
//! On: figures that are scraped every second, traces of one message in a hundred that a collector
//! takes, logs as usual. Off: the standard `OTEL_SDK_DISABLED`, and no logs. The backlog is the
//! same, with a `traceparent` in one message of a hundred. Whichever is second finds the machine
//! warmer, so they take turns.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use futures::StreamExt as _;
use protocol::{DeviceSubject, Kind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::drain::Drain;
use super::{Backlog, rings};
use crate::measure::{Leg, Sample};
use crate::workload::{Fleet, Numbers, body};
use crate::world::World;

/// One message in so many is traced.
const TRACED_OF: usize = 100;
/// Publishes whose confirmation is awaited at one time.
const ACKS_IN_FLIGHT: usize = 1_000;
/// How often a Prometheus in a hurry asks.
const SCRAPE_EVERY: Duration = Duration::from_secs(1);
pub(crate) const ON: &str = "on";
pub(crate) const OFF: &str = "off";

pub(super) async fn measure(
    world: &World,
    fleet: &Fleet,
    run: usize,
    messages: usize,
) -> Result<Vec<Sample>> {
    let collector = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", collector.local_addr()?);
    let taking = tokio::spawn(async move {
        let router = Router::new().fallback(post(|| async { StatusCode::OK }));
        let _ = axum::serve(collector, router).await;
    });
    let listen = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let scraping = tokio::spawn(scrape(listen.clone()));
    let backlog = Backlog { stream: "METRICS", consumer: "rings", messages };
    let on = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("WEGWEISER_RECEIVER_LISTEN", listen)];
    let off = vec![("OTEL_SDK_DISABLED", "true".to_owned()), ("WEGWEISER_LOG", "off".to_owned())];
    let mut drains = [(ON, on), (OFF, off)]
        .map(|(name, settings)| Drain { settings, ..Drain::new(backlog, Leg::Seen) }.named(name));
    if run.is_multiple_of(2) {
        drains.reverse();
    }
    let mut samples = Vec::new();
    for drain in &drains {
        world.purge(backlog.stream).await?;
        publish(world, fleet, messages).await?;
        samples.push(drain.measure(world, run).await?);
        rings::check(world, fleet.rings(messages)).await?;
        rings::empty(world).await?;
    }
    world.purge(backlog.stream).await?;
    scraping.abort();
    taking.abort();
    Ok(samples)
}

/// As the fleet publishes its points, some of them with a trace.
async fn publish(world: &World, fleet: &Fleet, messages: usize) -> Result<()> {
    let jetstream = jetstream::new(world.plain.clone());
    let mut numbers = Numbers::default();
    let points = fleet.points(messages);
    let sends = points.iter().enumerate().map(|(n, point)| {
        let jetstream = &jetstream;
        let (tenant, device, metric) = fleet.of(point);
        let kind = Kind::Metric(metric.clone());
        let id = numbers.next(device, &kind);
        async move {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Msg-Id", id.as_str());
            if n % TRACED_OF == 0 {
                let number = n + 1;
                headers
                    .insert("traceparent", format!("00-{number:032x}-{number:016x}-01").as_str());
            }
            let payload = body(device, tenant, metric, point)?;
            let subject = DeviceSubject::new(tenant, device, kind).to_string();
            jetstream.publish_with_headers(subject, headers, payload).await?.await?;
            anyhow::Ok(())
        }
    });
    let mut sent = futures::stream::iter(sends).buffered(ACKS_IN_FLIGHT);
    while let Some(confirmed) = sent.next().await {
        confirmed.context("publishing a backlog")?;
    }
    let there = world.operator.stream_state("METRICS").await?.messages;
    ensure!(there == u64::try_from(messages)?, "{there} of {messages} are in the stream");
    Ok(())
}

/// Asks for the figures as Prometheus does, whether or not anybody answers.
async fn scrape(address: String) {
    let mut due = tokio::time::interval(SCRAPE_EVERY);
    loop {
        due.tick().await;
        let Ok(mut connection) = TcpStream::connect(&address).await else { continue };
        let request = b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
        if connection.write_all(request).await.is_ok() {
            let _ = connection.read_to_end(&mut Vec::new()).await;
        }
    }
}
