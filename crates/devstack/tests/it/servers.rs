//! Every server that can be had here starts, answers, keeps its data over a restart, and stops.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use devstack::tools::{self, POSTGRES_WHEEL, VALKEY_WHEEL};
use devstack::{DatabaseAddress, Nats, Postgres, Redis};
use secrecy::ExposeSecret as _;

/// The machine's own (or whatever stands in for it) and the wheel's, each once.
fn programs(found: &tools::Tool, wheel: PathBuf) -> Vec<PathBuf> {
    let mut programs = vec![found.path().to_path_buf(), wheel];
    programs.dedup();
    programs
}

#[test]
fn nats_keeps_port_and_streams_over_a_restart() {
    let mut nats = Nats::builder().config("jetstream { max_file_store: 64GB }").start().unwrap();
    let url = nats.url().to_owned();
    let monitoring = nats.monitoring_url();
    let first_pid = nats.pid();
    assert!(url.starts_with("nats://127.0.0.1:"), "{url}");
    let made = nats_request(
        nats.port(),
        "$JS.API.STREAM.CREATE.KEPT",
        r#"{"name":"KEPT","subjects":["kept"],"storage":"file"}"#,
    );
    assert!(made.contains("\"did_create\":true"), "{made}");

    nats.kill().unwrap();
    assert!(!nats.is_running());
    nats.restart().unwrap();

    assert_eq!(nats.url(), url);
    assert_eq!(nats.monitoring_url(), monitoring);
    assert_ne!(nats.pid(), first_pid);
    let found = nats_request(nats.port(), "$JS.API.STREAM.INFO.KEPT", "");
    assert!(found.contains("\"name\":\"KEPT\""), "{found}");
    nats.stop().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", nats.port())).is_err());
}

#[test]
fn a_broken_nats_configuration_is_named_in_the_error() {
    let error = Nats::builder().config("jetstream: [").start().unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("nats-server ended before it was ready"), "{text}");
    assert!(text.contains("Parse error on line 1"), "{text}");
    let log = text
        .split_whitespace()
        .find(|word| word.contains("nats-server.log"))
        .unwrap()
        .trim_end_matches(':');
    assert!(std::path::Path::new(log).exists(), "{log} was not kept");
    std::fs::remove_dir_all(std::path::Path::new(log).parent().unwrap()).unwrap();
}

#[test]
fn redis_persists_only_when_told_to() {
    let wheel = VALKEY_WHEEL.install().unwrap();
    for program in programs(&tools::redis_server().unwrap(), wheel) {
        for persist in [false, true] {
            let mut redis = Redis::builder()
                .program(&program)
                .persist(persist)
                .arg("--appendfsync")
                .arg("always")
                .start()
                .unwrap();
            assert_eq!(redis_says(redis.port(), "SET kept yes"), "+OK");
            let port = redis.port();
            redis.kill().unwrap();
            redis.restart().unwrap();
            assert_eq!(redis.port(), port);
            let expected = if persist { "$3" } else { "$-1" };
            assert_eq!(redis_says(port, "GET kept"), expected, "{program:?}");
            redis.stop().unwrap();
            assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        }
    }
}

#[test]
fn postgres_keeps_data_over_a_crash_and_wants_the_password() {
    let wheel = POSTGRES_WHEEL.install().unwrap();
    let wheel = wheel.parent().unwrap().to_path_buf();
    for bin_dir in programs(&tools::postgres().unwrap(), wheel) {
        let mut postgres =
            Postgres::builder().bin_dir(&bin_dir).fsync(false).max_connections(17).start().unwrap();
        let psql = bin_dir.join("psql");
        let address = postgres.address();
        assert_eq!(query(&psql, &address, "SHOW max_connections").unwrap(), "17");
        query(&psql, &address, "CREATE TABLE kept AS SELECT 42 AS answer").unwrap();

        postgres.kill().unwrap();
        assert!(!postgres.is_running());
        postgres.restart().unwrap();
        assert_eq!(query(&psql, &address, "SELECT answer FROM kept").unwrap(), "42");

        let mut stranger = address.clone();
        stranger.password = "wrong".to_owned().into();
        let refused = query(&psql, &stranger, "SELECT 1").unwrap_err();
        assert!(refused.contains("password authentication failed"), "{refused}");
        assert!(!format!("{address:?}").contains(address.password.expose_secret()));
    }
}

#[test]
fn a_paused_server_does_not_answer_until_it_is_resumed() {
    let redis = Redis::builder().start().unwrap();
    redis.pause().unwrap();
    let mut client = TcpStream::connect(("127.0.0.1", redis.port())).unwrap();
    client.write_all(b"PING\r\n").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut answer = [0; 7];
    assert!(client.read(&mut answer).is_err(), "a stopped process answered");
    redis.resume().unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

#[test]
fn a_preferred_port_is_taken_unless_someone_has_it() {
    let first = Redis::builder().start().unwrap();
    let port = first.port();
    let second = Redis::builder().preferred_port(port).start().unwrap();
    assert_ne!(second.port(), port);
    drop(first);
    let third = Redis::builder().preferred_port(port).start().unwrap();
    assert_eq!(third.port(), port);
}

#[test]
fn a_temporary_directory_goes_with_its_server() {
    let redis = Redis::builder().start().unwrap();
    let dir = redis.dir().to_path_buf();
    assert!(dir.join("redis.log").exists());
    drop(redis);
    assert!(!dir.exists());
}

#[test]
fn a_paused_server_still_stops() {
    let mut redis = Redis::builder().start().unwrap();
    redis.pause().unwrap();
    redis.stop().unwrap();
    assert!(!redis.is_running());
}

#[test]
fn two_servers_never_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let first = Redis::builder().dir(dir.path()).start().unwrap();
    let error = Redis::builder().dir(dir.path()).start().unwrap_err();
    assert!(format!("{error:#}").contains("another server is running"), "{error:#}");
    drop(first);
    Redis::builder().dir(dir.path()).start().unwrap();
}

#[test]
fn what_a_killed_test_left_behind_is_removed_and_what_is_in_use_is_not() {
    let running = Redis::builder().start().unwrap();
    let abandoned = std::env::temp_dir().join(format!("wegweiser-test-{}", std::process::id()));
    std::fs::create_dir(&abandoned).unwrap();
    std::fs::write(abandoned.join("owner.lock"), "").unwrap();
    let _another = Redis::builder().start().unwrap();
    assert!(!abandoned.exists());
    assert!(running.dir().exists());
}

fn redis_says(port: u16, command: &str) -> String {
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.write_all(format!("{command}\r\n").as_bytes()).unwrap();
    let mut answer = [0; 64];
    let received = client.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..received]).into_owned();
    answer.lines().next().unwrap_or_default().to_owned()
}

/// One request over the text protocol; the answer comes as the first message on our inbox.
fn nats_request(port: u16, subject: &str, body: &str) -> String {
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let length = body.len();
    let request = format!(
        "CONNECT {{\"verbose\":false}}\r\nSUB inbox 1\r\nPUB {subject} inbox {length}\r\n{body}\r\n"
    );
    client.write_all(request.as_bytes()).unwrap();
    let mut said = String::new();
    let mut chunk = [0; 4096];
    while !(said.contains("MSG inbox") && said.ends_with("}\r\n")) {
        let received = client.read(&mut chunk).unwrap();
        assert!(received > 0, "closed after {said}");
        said.push_str(&String::from_utf8_lossy(&chunk[..received]));
    }
    said
}

fn query(psql: &std::path::Path, address: &DatabaseAddress, sql: &str) -> Result<String, String> {
    let output = Command::new(psql)
        .args(["-X", "-A", "-t", "-h", address.host, "-U", &address.user])
        .args(["-p", &address.port.to_string(), "-d", &address.database])
        .args(["-c", sql])
        .env("PGPASSWORD", address.password.expose_secret())
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}
