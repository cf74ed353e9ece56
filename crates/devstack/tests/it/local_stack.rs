//! `devstack up`, `status`, `down` and `clean`, as the Makefile uses them.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use crate::support::Stack;

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a shell that sources the file says, with `set` set before.
fn sourced(stack: &Stack, set: (&str, &str), expression: &str) -> String {
    let script = format!(". {}/env; echo \"{expression}\"", stack.path().display());
    let output = Command::new("sh").args(["-c", &script]).env(set.0, set.1).output().unwrap();
    said(&output).trim().to_owned()
}

#[test]
fn up_is_idempotent_and_addresses_stay_over_down() {
    let stack = Stack::fresh();
    // Started by root, Postgres runs as someone who may not enter this directory.
    std::fs::set_permissions(stack.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    said(&stack.run(&["up"]));
    let env = std::fs::read_to_string(stack.path().join("env")).unwrap();
    let pids = ["nats", "redis", "postgres"].map(|server| stack.pid_of(server));
    assert!(said(&stack.run(&["up"])).contains("runs already"));
    assert_eq!(pids, ["nats", "redis", "postgres"].map(|server| stack.pid_of(server)));
    said(&stack.run(&["status"]));

    said(&stack.run(&["down"]));
    assert!(!stack.run(&["status"]).status.success());
    assert!(said(&stack.run(&["down"])).contains("no local stack runs"));

    said(&stack.run(&["up"]));
    assert_eq!(std::fs::read_to_string(stack.path().join("env")).unwrap(), env);
    said(&stack.run(&["clean"]));
    assert_eq!(std::fs::read_dir(stack.path()).unwrap().count(), 0);
}

#[test]
fn up_after_a_killed_owner_waits_for_its_servers_and_keeps_their_addresses_and_data() {
    let stack = Stack::new();
    let mut owner = stack.serve();
    let env = std::fs::read_to_string(stack.path().join("env")).unwrap();
    let pid = stack.pid_of("postgres");
    owner.kill().unwrap();
    owner.wait().unwrap();
    said(&stack.run(&["up"]));
    assert_ne!(stack.pid_of("postgres"), pid);
    assert_eq!(std::fs::read_to_string(stack.path().join("env")).unwrap(), env);
    said(&stack.run(&["status"]));
}

#[test]
fn the_environment_file_is_private_and_gives_way_to_the_caller() {
    let stack = Stack::new();
    said(&stack.run(&["up"]));
    let mode = std::fs::metadata(stack.path().join("env")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let nats = sourced(&stack, ("UNRELATED", "1"), "$NATS_URL");
    assert!(nats.starts_with("nats://127.0.0.1:"), "{nats}");
    let database = sourced(&stack, ("UNRELATED", "1"), "$DATABASE_URL");
    assert!(database.starts_with("postgres://wegweiser:"), "{database}");
    let mine = sourced(&stack, ("NATS_URL", "tls://mine:4222"), "$NATS_URL");
    assert_eq!(mine, "tls://mine:4222");
    // A host of the caller's must not get our port, nor a port of the caller's our host.
    let redis = "$METRICS_REDIS_HOST:$METRICS_REDIS_PORT";
    assert_eq!(sourced(&stack, ("METRICS_REDIS_HOST", "mine"), redis), "mine:");
    assert_eq!(sourced(&stack, ("METRICS_REDIS_PORT", "1"), redis), ":1");
}

#[test]
fn the_callers_nats_configuration_is_used_and_a_broken_one_shown() {
    let stack = Stack::new();
    let config = stack.path().join("mine.conf");
    std::fs::write(&config, "jetstream: [").unwrap();
    let config = config.to_str().unwrap();
    let broken = stack.run(&["up", "--nats-config", config]);
    let text = String::from_utf8(broken.stderr).unwrap();
    assert!(!broken.status.success());
    assert!(text.contains("Parse error on line 1"), "{text}");
    assert!(!stack.run(&["status"]).status.success());

    let tls = devstack::local::tls_files(stack.path()).unwrap();
    let text = format!(
        "server_name: mine\ntls {{ cert_file: {:?}, key_file: {:?} }}\n",
        tls.certificate, tls.key
    );
    std::fs::write(config, text).unwrap();
    said(&stack.run(&["up", "--nats-config", config, "--nats-creds", config]));
    let nats = sourced(&stack, ("UNRELATED", "1"), "$NATS_URL $WEGWEISER_NATS_CA $NATS_CREDS");
    assert!(nats.starts_with("tls://127.0.0.1:"), "{nats}");
    assert!(nats.ends_with(&format!("{} {config}", tls.ca.display())), "{nats}");
    // With another broker of the caller's, neither goes along.
    let mine =
        sourced(&stack, ("NATS_URL", "tls://mine"), "$NATS_URL$WEGWEISER_NATS_CA$NATS_CREDS");
    assert_eq!(mine, "tls://mine");
    let mode = std::fs::metadata(&tls.key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
