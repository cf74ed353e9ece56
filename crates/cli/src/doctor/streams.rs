//! Streams against their files, the receivers' consumers, and the broker's clock.

use broker::Broker;
use broker::plan::Plan;
use broker::streams::{self, ConsumerStatus, Health, Status, StreamSettings, StreamStatus};

use super::answer;
use super::finding::Finding;
use super::offset::Stopwatch;

/// Messages that may wait for a receiver before it is worth a look.
const LAG_UNREMARKABLE_MESSAGES: u64 = 10_000;
/// How full a stream may be before it is worth a look.
const FULL_UNREMARKABLE_PERCENT: u64 = 80;
const APPLY: &str = "wegweiser streams apply";
const START_RECEIVER: &str = "systemctl start wegweiser-nats-receiver";

pub(super) async fn check(broker: &Broker, settings: &StreamSettings) -> Vec<Finding> {
    let desired = match streams::load(&settings.directory, settings.replicas) {
        Ok(desired) => desired,
        Err(mistakes) => {
            let remedy = "correct the files, or set WEGWEISER_STREAMS_DIR; wegweiser streams plan";
            return vec![
                Finding::fail("streams", mistakes.to_string(), remedy),
                Finding::fail("consumers", "not checked: the files are unusable", remedy),
                Finding::fail("broker clock", "not checked: the files are unusable", remedy),
            ];
        }
    };
    let status = match answer(streams::status(broker, &desired)).await {
        Ok(status) => status,
        Err(reason) => {
            let remedy = "export NATS_CREDS=/path/to/operator.creds";
            return vec![
                Finding::fail("streams", reason, remedy),
                Finding::fail("consumers", "not checked: the streams are not shown", remedy),
                Finding::fail("broker clock", "not checked: the streams are not shown", remedy),
            ];
        }
    };
    let mut findings = vec![in_sync(&status.plan, &status, settings)];
    findings.extend(status.streams.iter().filter_map(nearly_full));
    for stream in &status.streams {
        findings.extend(stream.consumers.iter().map(|one| consumer(&stream.name, one)));
    }
    findings.push(clock(broker, &status).await);
    findings
}

fn in_sync(plan: &Plan, status: &Status, settings: &StreamSettings) -> Finding {
    let directory = settings.directory.display();
    if plan.is_empty() {
        let count = status.streams.len();
        return Finding::ok("streams", format!("{count} as in {directory}"));
    }
    let found = format!("not as in {directory}: {}", plan.objects().join(", "));
    Finding::fail("streams", found, format!("wegweiser streams plan; {APPLY}"))
}

fn nearly_full(stream: &StreamStatus) -> Option<Finding> {
    let percent = stream.percent_full();
    (percent >= FULL_UNREMARKABLE_PERCENT).then(|| {
        let found = format!("{percent} % of max_bytes");
        let remedy = "raise max_bytes in its file; wegweiser streams apply";
        Finding::warn(format!("stream {}", stream.name), found, remedy)
    })
}

fn consumer(stream: &str, consumer: &ConsumerStatus) -> Finding {
    let check = format!("consumer {stream}/{}", consumer.name);
    if consumer.health == Health::Missing {
        return Finding::fail(check, "missing", APPLY);
    }
    let ConsumerStatus { pending, ack_pending, redelivered, waiting_pulls, .. } = *consumer;
    let found =
        format!("{pending} waiting, {ack_pending} unacknowledged, {redelivered} delivered again");
    if consumer.paused {
        let remedy = format!("nats consumer resume {stream} {}", consumer.name);
        return Finding::fail(check, format!("paused; {found}"), remedy);
    }
    if waiting_pulls == 0 && ack_pending == 0 {
        return Finding::fail(check, format!("no receiver pulls; {found}"), START_RECEIVER);
    }
    if pending > LAG_UNREMARKABLE_MESSAGES {
        let remedy = "start one more receiver, or look at the sinks below";
        return Finding::warn(check, format!("behind; {found}"), remedy);
    }
    Finding::ok(check, found)
}

/// The broker tells its time with a consumer's state.
async fn clock(broker: &Broker, status: &Status) -> Finding {
    const CHECK: &str = "broker clock";
    let existing = status.streams.iter().flat_map(|stream| {
        let present = stream.consumers.iter().filter(|one| one.health != Health::Missing);
        present.map(|one| (stream.name.as_str(), one.name.as_str()))
    });
    let Some((stream, consumer)) = existing.into_iter().next() else {
        return Finding::fail(CHECK, "not checked: there is no consumer to ask", APPLY);
    };
    let watch = Stopwatch::start();
    match answer(broker.consumer_state(stream, consumer)).await {
        Ok(state) => watch.finding(CHECK, state.server_time()),
        Err(reason) => Finding::fail(CHECK, reason, "systemctl status nats-server"),
    }
}
