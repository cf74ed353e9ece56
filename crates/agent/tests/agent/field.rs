//! Bad days in the field: each has a state that `wegweiser-agent status` names in plain words, and
//! ends by itself when its cause does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use broker::accounts::{
    AccountServer, Declared, ServerConfigOptions, ServerTls, SyncInterval, apply, bootstrap,
    revoke, server_config,
};
use broker::streams::Destructive;
use broker::{BrokerTls, Delivery};
use protocol::Event;

use devstack::{Nats, TcpProxy};
use identity::{AccountName, Credentials, DeviceRole, KeyDir, UnixSeconds, issue_device};
use rcgen::{CertificateParams, KeyPair};

use crate::adversity::Adversity;
use crate::stage::{Agent, Creds, DEVICE, Operator, TENANT, server};

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_there_before_the_broker_and_after_the_agent() {
    let mut nats = server();
    Operator::connect(&nats).await.apply_streams().await;
    nats.kill().unwrap();
    let creds = Creds::issue();
    assert_eq!(creds.status().0, 1, "no agent runs");
    let agent = Agent::start_with(nats.url(), &creds, &[]);
    creds.until_trouble("no broker listens there");
    creds.until_status("told what waits", |code, said| {
        let status = &said["agent"]["status"];
        let waiting = status["spooled"]["metric"].as_u64().is_some_and(|count| count > 0);
        code == 2 && status["connected"] == false && waiting
    });

    nats.restart().unwrap();
    creds.until_healthy();
    nats.kill().unwrap();
    creds.until_trouble("no broker listens there");
    nats.restart().unwrap();
    creds.until_healthy();
    let (_, said) = creds.status();
    assert_eq!(said["agent"]["status"]["reconnects"], 1, "{said}");
    assert!(said["agent"]["status"]["collectors"]["cpu"]["took_ms"].is_number(), "{said}");

    assert!(agent.terminate().success());
    let (code, said) = creds.status();
    assert_eq!((code, &said["state"]), (1, &"not_running".into()));
    assert!(said["agent"]["session"].is_string(), "its last words are there: {said}");
}

#[test]
fn without_keys_that_sign_commands_the_status_says_that_commands_are_refused() {
    let (nats, creds) = (server(), Creds::issue());
    let _agent = Agent::start(nats.url(), &creds);
    creds.until_status("told that commands are refused", |_, said| {
        let why = said["agent"]["commands_refused"].as_str().unwrap_or_default();
        why.contains("no keys") && why.contains("wegweiser command-key show")
    });
}

#[test]
fn only_the_agents_user_and_group_read_its_status_and_a_second_agent_leaves_it_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let creds = Creds::issue();
    let _agent = Agent::start("nats://127.0.0.1:9", &creds);
    creds.until_trouble("no broker listens there");
    let path = creds.path.with_file_name("status.json");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    let (_, said) = creds.status();
    let second = Agent::start("nats://127.0.0.1:9", &creds);
    second.until_logged("another agent holds");
    let (_, after) = creds.status();
    assert_eq!(said["agent"]["session"], after["agent"]["session"]);
}

/// The folder of the spool of this device.
fn spool_of(creds: &Creds) -> PathBuf {
    creds.path.with_file_name("spool").join(format!("{TENANT}.{DEVICE}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_of_the_spool_is_told_until_it_was_looked_at() {
    let mut nats = server();
    Operator::connect(&nats).await.apply_streams().await;
    nats.kill().unwrap();
    let creds = Creds::issue();
    let agent = Agent::start(nats.url(), &creds);
    creds.until_status("has something on disk", |_, said| {
        said["agent"]["status"]["spooled_bytes"].as_u64().is_some_and(|bytes| bytes > 20_000)
    });
    agent.kill();
    let mut files = std::fs::read_dir(spool_of(&creds)).unwrap().map(|entry| entry.unwrap().path());
    let of_metrics = |path: &PathBuf| path.to_string_lossy().contains("metric");
    let file = files.find(of_metrics).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&file, bytes).unwrap();

    let agent = Agent::start(nats.url(), &creds);
    creds.until_trouble("a file of the spool was damaged");
    nats.restart().unwrap();
    creds.until_status("connected", |_, said| said["agent"]["status"]["connected"] == true);
    let kept = std::fs::read_dir(spool_of(&creds)).unwrap().map(|entry| entry.unwrap().path());
    for damaged in kept.filter(|path| path.to_string_lossy().contains("damaged-")) {
        std::fs::remove_file(damaged).unwrap();
    }
    creds.until_healthy();
    assert!(agent.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_cannot_be_made_or_is_full_is_told_and_used_when_it_can_be() {
    let nats = server();
    Operator::connect(&nats).await.apply_streams().await;
    let adversity = Adversity::build();
    let mut creds = Creds::issue();
    creds.variables = adversity.variables();
    let spool = creds.path.with_file_name("spool");
    adversity.fail_writes(&spool, "read-only");
    let agent = Agent::start(nats.url(), &creds);
    creds.until_trouble("messages wait in memory only: cannot make");
    adversity.heal_writes();
    creds.until_healthy();

    adversity.fail_writes(&spool, "full");
    creds.until_trouble("No space left on device");
    let (_, said) = creds.status();
    assert_eq!(said["agent"]["status"]["connected"], true, "it reports all the same: {said}");
    adversity.heal_writes();
    creds.until_healthy();
    assert!(agent.terminate().success());
}

/// A server's certificate, valid for so many days from so many days ago.
fn certify(dir: &Path, days_ago: i64, days: i64) {
    let day = 86_400;
    let now = std::time::SystemTime::now();
    let seconds = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let from = i64::try_from(seconds).unwrap() - days_ago * day;
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let at = |seconds| time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    (params.not_before, params.not_after) = (at(from), at(from + days * day));
    let key_path = dir.join("server.key");
    let key = match std::fs::read_to_string(&key_path) {
        Ok(pem) => KeyPair::from_pem(&pem).unwrap(),
        Err(_) => KeyPair::generate().unwrap(),
    };
    std::fs::write(&key_path, key.serialize_pem()).unwrap();
    std::fs::write(dir.join("server.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_named_and_a_renewed_one_taken() {
    let dir = tempfile::tempdir().unwrap();
    certify(dir.path(), 30, 29);
    let (cert, key) = (dir.path().join("server.pem"), dir.path().join("server.key"));
    let config = format!(
        "jetstream {{}}\ntls {{ cert_file: {:?}, key_file: {:?} }}",
        cert.display(),
        key.display()
    );
    let mut nats = Nats::builder().config(config).start().unwrap();
    let creds = Creds::issue();
    let ca = cert.display().to_string();
    let agent = Agent::start_with(nats.url(), &creds, &[("WEGWEISER_NATS_CA", &ca)]);
    creds.until_trouble("the server's certificate has ended");

    certify(dir.path(), 1, 30);
    nats.kill().unwrap();
    nats.restart().unwrap();
    // There are no streams on this server, which is another trouble than none to talk to.
    creds.until_trouble("no stream takes it");
    assert!(agent.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_resolved_is_told_and_looked_up_again() {
    let nats = server();
    Operator::connect(&nats).await.apply_streams().await;
    let adversity = Adversity::build();
    let mut creds = Creds::issue();
    creds.variables = adversity.variables();
    adversity.stop_dns();
    let url = format!("nats://broker.example:{}", nats.port());
    let agent = Agent::start(&url, &creds);
    creds.until_trouble("the broker's name is not known here");
    adversity.heal_dns();
    creds.until_healthy();
    assert!(agent.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_back_an_hour_is_told_and_stops_nothing() {
    let mut nats = server();
    let operator = Operator::connect(&nats).await;
    operator.apply_streams().await;
    let adversity = Adversity::build();
    let mut creds = Creds::issue();
    creds.variables = adversity.variables();
    let agent = Agent::start(nats.url(), &creds);
    creds.until_healthy();
    adversity.set_clock(-3_600);
    creds.until_trouble("s behind the broker's");
    let mut heartbeats = operator.pull("HEARTBEATS", "connectivity").await;
    let told = |event: &Event| match event {
        Event::Heartbeat(heartbeat) => {
            let offset = heartbeat.details.split("\"clock_offset_ms\":").nth(1);
            let offset = offset.and_then(|rest| rest.split([',', '}']).next()?.parse::<i64>().ok());
            // An answer is exact to half of the time that it took.
            offset.is_some_and(|offset_ms| (offset_ms + 3_600_000).abs() < 5_000)
        }
        _ => false,
    };
    let all = |seen: &[(Delivery, Event)]| seen.iter().any(|(_, event)| told(event));
    heartbeats.until("a heartbeat that says so", all).await;

    // Also one that starts like this, and one whose broker is away when it ends.
    assert!(agent.terminate().success());
    let agent = Agent::start(nats.url(), &creds);
    creds.until_trouble("s behind the broker's");
    nats.kill().unwrap();
    creds.until_trouble("no broker listens there");
    adversity.set_clock(0);
    agent.until_logged("the clock was set");
    nats.restart().unwrap();
    creds.until_healthy();
    assert!(agent.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_slowly_is_told_before_and_after_the_connection() {
    let nats = server();
    Operator::connect(&nats).await.apply_streams().await;
    let proxy = TcpProxy::start(nats.port()).unwrap();
    proxy.set_latency(Duration::from_secs(4)).unwrap();
    let creds = Creds::issue();
    let url = format!("nats://127.0.0.1:{}", proxy.port());
    let agent = Agent::start_with(&url, &creds, &[]);
    creds.until_trouble("the broker does not answer");
    proxy.heal().unwrap();
    creds.until_healthy();

    proxy.set_latency(Duration::from_secs(4)).unwrap();
    creds.until_trouble("the stream did not answer in time");
    proxy.heal().unwrap();
    creds.until_healthy();
    assert!(agent.terminate().success());
}

/// A server that asks for credentials, and what issues and revokes them.
struct Guarded {
    nats: Nats,
    keys: KeyDir,
    server: AccountServer,
    ca: String,
    _dir: tempfile::TempDir,
}

impl Guarded {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tenants = dir.path().join("tenants");
        std::fs::create_dir(&tenants).unwrap();
        let tenant = format!("{{ \"tenant\": \"{TENANT}\", \"name\": \"Acme\" }}");
        std::fs::write(tenants.join("acme.json"), tenant).unwrap();
        let keys = KeyDir::open_or_create(&dir.path().join("keys")).unwrap();
        let accounts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../nats/accounts");
        let declared = Declared::load(&accounts, &tenants).unwrap();
        bootstrap(&keys, &declared).unwrap();
        let tls = devstack::tls::files_in(&dir.path().join("tls")).unwrap();
        let options = ServerConfigOptions {
            jetstream_dir: None,
            resolver_dir: dir.path().join("resolver"),
            sync_interval: SyncInterval::Every(Duration::from_secs(120)),
            max_payload_bytes: 2 * 1024 * 1024,
            max_file_store_bytes: Some(64 * 1024 * 1024 * 1024),
            tls: Some(ServerTls {
                cert_file: tls.certificate.clone(),
                key_file: tls.key.clone(),
                client_ca_file: None,
            }),
        };
        let nats = Nats::builder().config(server_config(&keys, &options).unwrap()).start().unwrap();
        let server =
            AccountServer::open(nats.url(), &BrokerTls::trusting(&tls.ca), &keys).await.unwrap();
        apply(&server, &declared, &keys, Destructive::Refuse).await.unwrap();
        Self { nats, keys, server, ca: tls.ca.display().to_string(), _dir: dir }
    }

    fn issue(&self, expires: Option<UnixSeconds>) -> Credentials {
        let (tenant, device) = (TENANT.parse().unwrap(), DEVICE.parse().unwrap());
        issue_device(&self.keys, tenant, device, DeviceRole::Current, expires).unwrap()
    }

    async fn revoke(&self, credentials: &Credentials) {
        let account = AccountName::Tenant(TENANT.parse().unwrap());
        let user = credentials.key().public();
        revoke(&self.server, &self.keys, account, std::slice::from_ref(user), UnixSeconds::now())
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_revoked_or_expire_are_told_and_new_ones_taken_without_a_restart() {
    let guarded = Guarded::start().await;
    let first = guarded.issue(None);
    let creds = Creds::keep(&first);
    let variables = [("WEGWEISER_NATS_CA", guarded.ca.as_str())];
    let agent = Agent::start_with(guarded.nats.url(), &creds, &variables);
    // There are no streams on this server, which is known only once it is connected.
    creds.until_trouble("no stream takes it");
    creds.until_status("knows the broker's time", |_, said| {
        said["agent"]["status"]["clock_offset_ms"].as_i64().is_some_and(|ms| ms.abs() < 1_000)
    });
    guarded.revoke(&first).await;
    creds.until_trouble("the credentials were revoked");

    let soon = UnixSeconds::now().plus(Duration::from_secs(8));
    creds.replace(&guarded.issue(Some(soon)));
    creds.until_trouble("no stream takes it");
    creds.until_trouble("the credentials end in 0 h 0 min");
    creds.until_trouble("the credentials have ended");

    creds.replace(&guarded.issue(None));
    creds.until_trouble("no stream takes it");
    assert!(agent.terminate().success());
}
