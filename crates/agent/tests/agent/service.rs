//! The agent as a service: the files that install writes, and what it tells the service manager.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::stage::{Agent, Creds, DEADLINE, Operator, program, server};

#[test]
fn the_files_of_a_service_are_written_and_removed() {
    let root = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = program();
        command.args(arguments).arg("--root").arg(root.path()).output().unwrap()
    };
    let agent = env!("CARGO_BIN_EXE_wegweiser-agent");
    let installed = run(&["install", "--config", "/etc/wegweiser/agent.toml", "--program", agent]);
    let said = String::from_utf8_lossy(&installed.stderr).into_owned();
    assert!(installed.status.success(), "{said}");
    let at = |path: &str| root.path().join(path);
    let unit = std::fs::read_to_string(at("etc/systemd/system/wegweiser-agent.service")).unwrap();
    let starts = format!("ExecStart=\"{agent}\" run --config \"/etc/wegweiser/agent.toml\"\n");
    assert!(unit.contains(&starts), "{unit}");
    let wanted = at("etc/systemd/system/multi-user.target.wants/wegweiser-agent.service");
    let target = std::fs::read_link(&wanted).unwrap();
    assert_eq!(target, Path::new("/etc/systemd/system/wegweiser-agent.service"));
    let users = std::fs::read_to_string(at("etc/sysusers.d/wegweiser-agent.conf")).unwrap();
    assert!(users.starts_with("u wegweiser-agent "), "{users}");

    assert!(run(&["install", "--program", agent]).status.success(), "once more is no error");
    assert!(run(&["uninstall"]).status.success());
    assert!(wanted.symlink_metadata().is_err());
    assert!(!at("etc/systemd/system/wegweiser-agent.service").exists());
    assert!(run(&["uninstall"]).status.success(), "what is not there is no error");
}

#[test]
fn a_program_that_others_may_write_is_made_no_service() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    let agent = root.path().join("wegweiser-agent");
    std::fs::write(&agent, "").unwrap();
    std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = program();
    command.args(["install", "--program"]).arg(&agent).arg("--root").arg(root.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("chmod go-w"));
}

/// Plays the service manager's end of the socket, which systemd would hold.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn until(&self, wanted: &str) {
        let start = Instant::now();
        let mut buffer = [0; 1024];
        loop {
            assert!(start.elapsed() < DEADLINE, "never told {wanted}");
            let Ok(length) = self.socket.recv(&mut buffer) else { continue };
            if String::from_utf8_lossy(&buffer[..length]).contains(wanted) {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told_of_readiness_life_and_end() {
    let nats = server();
    Operator::connect(&nats).await.apply_streams().await;
    let creds = Creds::issue();
    let path = creds.path.with_file_name("notify");
    let manager = Manager { socket: UnixDatagram::bind(&path).unwrap() };
    manager.socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "500000")];
    let agent = Agent::start_with(nats.url(), &creds, &variables);
    manager.until("READY=1");
    for _ in 0..3 {
        manager.until("WATCHDOG=1");
    }
    // One that is stuck tells nothing: the manager ends it then.
    agent.signal("-STOP");
    let mut buffer = [0; 1024];
    let silent = |socket: &UnixDatagram, buffer: &mut [u8]| socket.recv(buffer).is_err();
    let start = Instant::now();
    while !silent(&manager.socket, &mut buffer) {
        assert!(start.elapsed() < DEADLINE, "a stopped agent says that it is alive");
    }
    agent.signal("-CONT");
    manager.until("WATCHDOG=1");
    agent.signal("-TERM");
    manager.until("STOPPING=1");
    assert!(agent.terminate().success());
}
