//! What arrives at a receiver.

use std::collections::BTreeSet;

use broker::Delivery;
use protocol::Event;

use crate::stage::{Agent, Creds, DEVICE, Operator, TENANT, server};

const SIX: [&str; 6] = [
    "cpu_percent",
    "disk_percent",
    "memory_percent",
    "network_bytes_in",
    "network_bytes_out",
    "uptime",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_six_metrics_arrive_numbered_and_within_their_ranges() {
    let nats = server();
    let operator = Operator::connect(&nats).await;
    operator.apply_streams().await;
    let creds = Creds::issue();
    let agent = Agent::start(nats.url(), &creds);

    let mut metrics = operator.pull("METRICS", "rings").await;
    let seen = metrics
        .until("three of each metric", |seen| SIX.iter().all(|name| values(seen, name).len() >= 3));
    let seen = seen.await;
    let names: BTreeSet<&str> = seen.iter().map(|(_, event)| metric_name(event)).collect();
    assert_eq!(names, BTreeSet::from(SIX));
    for percent in ["cpu_percent", "disk_percent", "memory_percent"] {
        for value in values(seen, percent) {
            assert!((0.0..=100.0).contains(&value), "{percent} is {value}");
        }
    }
    assert!(values(seen, "memory_percent")[0] > 0.0);
    for counter in ["network_bytes_in", "network_bytes_out", "uptime"] {
        let values = values(seen, counter);
        assert!(values.is_sorted(), "{counter} falls: {values:?}");
    }
    let mut numbers: Vec<u64> = seen.iter().map(|(delivery, _)| number(delivery)).collect();
    numbers.sort_unstable();
    let wanted: Vec<u64> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, wanted, "each number once, from 1");
    assert!(agent.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_tells_who_what_and_how_many() {
    let nats = server();
    let operator = Operator::connect(&nats).await;
    operator.apply_streams().await;
    let creds = Creds::issue();
    let agent = Agent::start(nats.url(), &creds);

    let mut heartbeats = operator.pull("HEARTBEATS", "connectivity").await;
    let seen = heartbeats.until("two heartbeats", |seen| seen.len() >= 2).await;
    let Event::Heartbeat(heartbeat) = &seen[1].1 else { panic!("{:?}", seen[1].1) };
    assert_eq!(heartbeat.tenant.to_string(), TENANT);
    assert_eq!(heartbeat.device.to_string(), DEVICE);
    assert_eq!(heartbeat.interval_ms, Some(1_000));
    let session = heartbeat.session.as_deref().unwrap();
    assert_eq!(seen[1].0.message_id().unwrap().as_str(), format!("{session}:heartbeat:2"));
    let details: serde_json::Value = serde_json::from_str(&heartbeat.details).unwrap();
    assert_eq!(details["status"]["sent"]["heartbeat"], 2);
    assert_eq!(details["status"]["reconnects"], 0);
    assert!(details["status"]["sent"]["metric"].as_u64().unwrap() > 0);
    assert_eq!(details["system_info"]["platform"], "Linux");
    assert!(!details["system_info"]["hostname"].as_str().unwrap().is_empty());
    assert!(details["system_info"]["memory_percent"].as_f64().unwrap() > 0.0);
    assert!(agent.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_at_the_start_is_flat_and_complete() {
    let nats = server();
    let operator = Operator::connect(&nats).await;
    operator.apply_streams().await;
    let creds = Creds::issue();
    let agent = Agent::start(nats.url(), &creds);

    let mut reports = operator.pull("MONITORING", "records").await;
    let seen = reports.until("a report", |seen| !seen.is_empty()).await;
    let Event::Monitoring(monitoring) = &seen[0].1 else { panic!("{:?}", seen[0].1) };
    assert_eq!(&*monitoring.report_type, "monitoring");
    let report: serde_json::Value = serde_json::from_str(&monitoring.report).unwrap();
    let report = report.as_object().unwrap();
    assert!(!report.contains_key("errors"), "{:?}", report["errors"]);
    for text in ["hostname", "platform", "os_version", "kernel", "cpu_architecture"] {
        assert!(report[text].as_str().is_some_and(|text| !text.is_empty()), "{text}");
    }
    for count in ["boot_time", "uptime", "cpu_threads", "memory_total_bytes", "process_count"] {
        assert!(report[count].as_u64().is_some_and(|count| count > 0), "{count}");
    }
    for list in ["disks", "network_interfaces", "top_processes_by_cpu", "top_processes_by_memory"] {
        assert!(report[list].as_array().is_some_and(|list| !list.is_empty()), "{list}");
    }
    let of_kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(report["kernel"], of_kernel.trim());
    assert!(agent.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_measured_without_a_broker_arrives_when_there_is_one() {
    let mut nats = server();
    let operator = Operator::connect(&nats).await;
    operator.apply_streams().await;
    nats.kill().unwrap();
    let creds = Creds::issue();
    let agent = Agent::start(nats.url(), &creds);
    agent.until_logged("no broker yet");
    nats.restart().unwrap();
    let operator = Operator::connect(&nats).await;
    let mut metrics = operator.pull("METRICS", "rings").await;
    let seen = metrics.until("points", |seen| seen.len() >= 30).await;
    assert!(seen.iter().any(|(delivery, _)| number(delivery) == 1), "the first point is there");

    nats.kill().unwrap();
    nats.restart().unwrap();
    let operator = Operator::connect(&nats).await;
    let mut metrics = operator.pull("METRICS", "rings").await;
    let gapless = |seen: &[(Delivery, Event)]| {
        let numbers: BTreeSet<u64> = seen.iter().map(|(delivery, _)| number(delivery)).collect();
        let newest = numbers.last().copied().unwrap_or_default();
        numbers.len() >= 30 && numbers.len() as u64 > newest - numbers.first().unwrap()
    };
    let seen = metrics.until("no number missing", gapless).await;
    let mut sequences: Vec<u64> = seen.iter().map(|(delivery, _)| number(delivery)).collect();
    let all = sequences.len();
    sequences.sort_unstable();
    sequences.dedup();
    assert_eq!(sequences.len(), all, "none is in the stream twice");
    assert!(agent.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_leaves_nothing_behind_and_without_a_broker_says_what_it_leaves() {
    let mut nats = server();
    let operator = Operator::connect(&nats).await;
    operator.apply_streams().await;
    let creds = Creds::issue();
    let agent = Agent::start(nats.url(), &creds);
    let mut metrics = operator.pull("METRICS", "rings").await;
    metrics.until("points", |seen| seen.len() >= 20).await;
    let (status, words) = agent.terminate_and_tell();
    assert!(status.success());
    assert_eq!(words["message"], "stopped");
    assert_eq!(words["handed_over"].as_u64(), Some(operator.held().await), "each once");

    nats.kill().unwrap();
    let agent = Agent::start(nats.url(), &creds);
    creds.until_status("told what waits", |_, said| {
        let status = &said["agent"]["status"];
        // The file may still be the first one's, who was connected.
        status["connected"] == false && status["spooled"]["metric"].as_u64() > Some(0)
    });
    let (status, words) = agent.terminate_and_tell();
    assert!(status.success());
    assert_eq!(words["left"], words["handed_over"]);
    assert!(words["left"].as_u64().unwrap() > 0);
}

fn number(delivery: &Delivery) -> u64 {
    let kind = delivery.device_subject().unwrap().kind().name();
    delivery.message_id().unwrap().number(kind).unwrap().counter
}

fn metric_name(event: &Event) -> &str {
    match event {
        Event::Metric(point) => point.metric.as_str(),
        other => panic!("{other:?} among metrics"),
    }
}

/// The values of one metric, by time.
fn values(seen: &[(Delivery, Event)], name: &str) -> Vec<f64> {
    let mut points: Vec<(i64, f64)> = seen
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Metric(point) if point.metric.as_str() == name => {
                Some((point.at.get(), point.value))
            }
            _ => None,
        })
        .collect();
    points.sort_by_key(|(at, _)| *at);
    points.into_iter().map(|(_, value)| value).collect()
}
