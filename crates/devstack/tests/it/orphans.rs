//! No server outlives whoever started it, whichever process is killed.

use crate::support::{Seen, Stack, descendants, processes, wait_until};
use rustix::process::{Pid, Signal, kill_process};

fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

fn all_end(family: &[Seen]) {
    wait_until(&format!("all of {family:?} have ended"), || !family.iter().any(Seen::is_alive));
}

#[test]
fn killing_the_owner_ends_every_server_and_warden() {
    let stack = Stack::new();
    let mut owner = stack.serve();
    let family = descendants(owner.id());
    for name in ["nats-server", "postgres", "sh"] {
        assert!(family.iter().any(|process| process.name == name), "no {name} in {family:?}");
    }
    owner.kill().unwrap();
    owner.wait().unwrap();
    all_end(&family);
}

#[test]
fn killing_a_warden_ends_its_server_and_nothing_else() {
    let stack = Stack::new();
    let mut owner = stack.serve();
    let family = descendants(owner.id());
    let mut killed = Vec::new();
    for server in ["redis", "postgres"] {
        let pid = stack.pid_of(server);
        let warden = family.iter().find(|process| process.pid == pid).unwrap().parent;
        killed.extend(descendants(warden));
        kill(warden);
    }
    all_end(&killed);
    // Not even as zombies of the owner.
    wait_until("the owner has collected the wardens", || {
        !processes().iter().any(|process| process.parent == owner.id() && process.zombie)
    });
    let nats = stack.pid_of("nats");
    assert!(family.iter().find(|process| process.pid == nats).unwrap().is_alive());
    let status = stack.run(&["status"]);
    assert!(!status.status.success());
    let said = String::from_utf8(status.stdout).unwrap();
    assert_eq!(said.matches("ENDED").count(), 2, "{said}");
    owner.kill().unwrap();
    owner.wait().unwrap();
    all_end(&family);
}

#[test]
fn killing_a_server_leaves_neither_warden_nor_children_nor_zombies() {
    let stack = Stack::new();
    let mut owner = stack.serve();
    let family = descendants(owner.id());
    for server in ["nats", "redis", "postgres"] {
        kill(stack.pid_of(server));
    }
    all_end(&family);
    wait_until("the owner has no children left", || descendants(owner.id()).is_empty());
    owner.kill().unwrap();
    owner.wait().unwrap();
}
