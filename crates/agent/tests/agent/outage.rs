//! The broker is away, and the agent is killed meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use broker::Delivery;
use protocol::{EarlierSession, Event, HeartbeatStatus, SessionId};

use crate::stage::{Agent, Creds, DEADLINE, Operator, server, until};

/// Everything that three runs handed over while the broker was away, and two of them were killed,
/// is there once: the heartbeats and reports that each run numbered, without a gap.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missing_after_an_outage_with_two_kills_and_each_is_there_once() {
    let mut nats = server();
    let operator = Operator::connect(&nats).await;
    operator.apply_streams().await;
    let creds = Creds::issue();
    let spool = creds.path.with_file_name("spool");
    let often = [("WEGWEISER_MONITORING_INTERVAL_MS", "1000")];
    let mut agent = Agent::start_with(nats.url(), &creds, &often);
    let reports = async { while operator.held().await < 20 {} };
    tokio::time::timeout(DEADLINE, reports).await.expect("the agent reports");
    nats.kill().unwrap();
    for _ in 0..2 {
        // Under load: until more waits than memory keeps.
        let before = spooled_bytes(&spool);
        until_spooled(&spool, before + 40_000);
        agent.kill();
        agent = Agent::start_with(nats.url(), &creds, &often);
    }
    until_spooled(&spool, spooled_bytes(&spool) + 20_000);
    nats.restart().unwrap();

    let operator = Operator::connect(&nats).await;
    let mut heartbeats = operator.pull("HEARTBEATS", "connectivity").await;
    let told = |seen: &[(Delivery, Event)]| {
        let status = newest_status(seen);
        let earlier = &status.earlier_sessions;
        status.sent.heartbeat > 3 && earlier.iter().all(|earlier| earlier.spooled.is_zero())
    };
    let seen = heartbeats.until("nothing is left on disk", told).await;
    let earlier = all_told(seen);
    assert_eq!(earlier.len(), 2, "two runs were killed: {earlier:?}");
    let given: BTreeMap<String, EarlierSession> =
        earlier.iter().map(|one| (one.session_id.to_string(), *one)).collect();
    assert_each_once(seen, "heartbeat", |session| given.get(session).map(|s| s.sent.heartbeat));
    let mut reports = operator.pull("MONITORING", "records").await;
    let wanted: u64 = given.values().map(|session| session.sent.monitoring).sum();
    assert!(wanted > 4, "too few to mean anything: {given:?}");
    let whole = |seen: &[(Delivery, Event)]| of_sessions(seen, &given) >= wanted;
    let seen = reports.until("every report is there", whole).await;
    assert_each_once(seen, "monitoring", |session| given.get(session).map(|s| s.sent.monitoring));
    assert!(agent.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_spool_costs_what_is_damaged_and_the_heartbeats_say_so() {
    let mut nats = server();
    let operator = Operator::connect(&nats).await;
    operator.apply_streams().await;
    nats.kill().unwrap();
    let creds = Creds::issue();
    let spool = creds.path.with_file_name("spool");
    let often = [("WEGWEISER_MONITORING_INTERVAL_MS", "1000")];
    let agent = Agent::start_with(nats.url(), &creds, &often);
    until("reports wait", || reports_on_disk(&spool).is_some_and(|(_, bytes)| bytes > 15_000));
    agent.kill();
    let (file, bytes) = reports_on_disk(&spool).unwrap();
    let mut content = std::fs::read(&file).unwrap();
    content[usize::try_from(bytes).unwrap() / 2] ^= 0x20;
    std::fs::write(&file, content).unwrap();

    let agent = Agent::start_with(nats.url(), &creds, &often);
    nats.restart().unwrap();
    let operator = Operator::connect(&nats).await;
    let mut heartbeats = operator.pull("HEARTBEATS", "connectivity").await;
    let told = |seen: &[(Delivery, Event)]| {
        let earlier = all_told(seen);
        earlier.iter().any(|earlier| earlier.spooled.is_zero())
    };
    let seen = heartbeats.until("nothing is left on disk", told).await;
    let earlier = all_told(seen).remove(0);
    assert_eq!(earlier.dropped.monitoring, 1, "{earlier:?}");
    let last_error = newest_status(seen).last_error.unwrap();
    assert!(last_error.contains("1 damaged file(s) of the spool"), "{last_error}");
    let given = BTreeMap::from([(earlier.session_id.to_string(), earlier)]);
    let mut reports = operator.pull("MONITORING", "records").await;
    let wanted = earlier.sent.monitoring - 1;
    assert!(wanted > 0, "there must be others: {earlier:?}");
    reports.until("the others are there", |seen| of_sessions(seen, &given) == wanted).await;
    assert!(agent.terminate().success());
}

/// The file of monitoring reports, and its length.
fn reports_on_disk(spool: &Path) -> Option<(PathBuf, u64)> {
    let device = std::fs::read_dir(spool).ok()?.next()?.ok()?;
    let mut files = std::fs::read_dir(device.path()).ok()?;
    let file = files.find_map(|file| {
        let file = file.ok()?;
        file.file_name().to_str()?.starts_with("monitoring").then_some(file)
    })?;
    Some((file.path(), file.metadata().ok()?.len()))
}

fn of_sessions(seen: &[(Delivery, Event)], given: &BTreeMap<String, EarlierSession>) -> u64 {
    let of = |delivery: &Delivery| {
        let id = delivery.message_id().unwrap();
        given.contains_key(id.as_str().split(':').next().unwrap())
    };
    seen.iter().filter(|(delivery, _)| of(delivery)).count() as u64
}

fn status_of(event: &Event) -> HeartbeatStatus {
    let Event::Heartbeat(heartbeat) = event else { panic!("{event:?}") };
    let details: serde_json::Value = serde_json::from_str(&heartbeat.details).unwrap();
    serde_json::from_value(details["status"].clone()).unwrap()
}

/// Of the newest run.
fn newest_status(seen: &[(Delivery, Event)]) -> HeartbeatStatus {
    let newest = seen.iter().max_by_key(|(delivery, _)| number_of(delivery, "heartbeat"));
    newest.map(|(_, event)| status_of(event)).unwrap_or_default()
}

fn number_of(delivery: &Delivery, kind: &str) -> (SessionId, u64) {
    let number = delivery.message_id().unwrap().number(kind).unwrap();
    (number.session, number.counter)
}

/// What heartbeats told last of each earlier run.
fn all_told(seen: &[(Delivery, Event)]) -> Vec<EarlierSession> {
    let mut told = BTreeMap::new();
    let mut by_number: Vec<_> = seen.iter().collect();
    by_number.sort_by_key(|(delivery, _)| number_of(delivery, "heartbeat"));
    for (_, event) in by_number {
        for earlier in status_of(event).earlier_sessions {
            told.insert(earlier.session_id, earlier);
        }
    }
    told.into_values().collect()
}

/// Of the runs that ended each number up to the highest that they gave out, once and no other; of the
/// one that goes on none twice, since its own may still be on their way from disk.
fn assert_each_once(seen: &[(Delivery, Event)], kind: &str, given: impl Fn(&str) -> Option<u64>) {
    let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (delivery, _) in seen {
        let (session, number) = number_of(delivery, kind);
        numbers.entry(session.to_string()).or_default().push(number);
    }
    let mut compared = BTreeSet::new();
    for (session, mut numbers) in numbers {
        numbers.sort_unstable();
        let expected = match given(&session) {
            Some(highest) => (1..=highest).collect::<Vec<u64>>(),
            None => numbers.iter().copied().collect::<BTreeSet<u64>>().into_iter().collect(),
        };
        assert_eq!(numbers, expected, "{kind} of {session}");
        compared.insert(session);
    }
    assert_eq!(compared.len(), 3, "of three runs");
}

fn spooled_bytes(spool: &Path) -> u64 {
    let Ok(devices) = std::fs::read_dir(spool) else { return 0 };
    let files = devices.flat_map(|device| std::fs::read_dir(device.unwrap().path()).unwrap());
    files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
}

fn until_spooled(spool: &Path, bytes: u64) {
    until("more is spooled", || spooled_bytes(spool) >= bytes);
}
