//! A local stack of a test's own, and a look at the machine's processes.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use devstack::tools;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);

/// A stack directory and the `devstack` program that works on it.
pub(crate) struct Stack {
    dir: TempDir,
}

impl Stack {
    /// As on a fresh clone.
    pub(crate) fn fresh() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// With the template databases of the repository's own stack, which spares `initdb`.
    pub(crate) fn new() -> Self {
        let stack = Self::fresh();
        let templates = devstack::stack_dir().unwrap().join("postgres-templates");
        std::fs::create_dir_all(&templates).unwrap();
        std::os::unix::fs::symlink(templates, stack.path().join("postgres-templates")).unwrap();
        stack
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// `devstack VERB…` on this directory, with the servers that have been found already.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_devstack"));
        command
            .args(arguments)
            .env(devstack::STACK_DIR_VARIABLE, self.path())
            .env(tools::NATS_SERVER_VARIABLE, tools::nats_server().unwrap().path())
            .env(tools::REDIS_SERVER_VARIABLE, tools::redis_server_with_tls().unwrap().path())
            .env(tools::POSTGRES_BIN_VARIABLE, tools::postgres().unwrap().path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The stack in the foreground, up.
    pub(crate) fn serve(&self) -> Child {
        let child =
            self.command(&["serve"]).stdout(Stdio::null()).stdin(Stdio::null()).spawn().unwrap();
        wait_until("the stack is up", || self.path().join("state.json").exists());
        child
    }

    /// The process id of one of its servers.
    pub(crate) fn pid_of(&self, server: &str) -> u32 {
        let text = std::fs::read(self.path().join("state.json")).unwrap();
        let state: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let servers = state["servers"].as_array().unwrap();
        let found = servers.iter().find(|entry| entry["name"] == server).unwrap();
        u32::try_from(found["pid"].as_u64().unwrap()).unwrap()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Also removes what was put elsewhere because root's stand-in could not reach this directory.
        let output = self.run(&["clean"]);
        if !std::thread::panicking() {
            assert!(output.status.success(), "{output:?}");
        }
    }
}

/// A process that cannot be mistaken for a later one with the same pid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) name: String,
    pub(crate) zombie: bool,
    began: u64,
}

impl Seen {
    /// Still there; one that has ended and waits for its parent to notice is not.
    pub(crate) fn is_alive(&self) -> bool {
        processes().iter().any(|now| now.pid == self.pid && now.began == self.began && !now.zombie)
    }
}

pub(crate) fn processes() -> Vec<Seen> {
    let mut seen = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may end while we look.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let (name, rest) = stat.split_once('(').unwrap().1.rsplit_once(')').unwrap();
        let fields: Vec<&str> = rest.split_whitespace().collect();
        seen.push(Seen {
            pid,
            parent: fields[1].parse().unwrap(),
            name: name.to_owned(),
            zombie: fields[0] == "Z",
            began: fields[19].parse().unwrap(),
        });
    }
    seen
}

/// Children, their children, and so on.
pub(crate) fn descendants(ancestor: u32) -> Vec<Seen> {
    let all = processes();
    let mut family = vec![ancestor];
    let mut found = Vec::new();
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        for process in all.iter().filter(|process| process.parent == parent) {
            family.push(process.pid);
            found.push(process.clone());
        }
        next += 1;
    }
    found
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "gave up waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
