//! What no test may do to its machine, done to the agent's process alone: a library that is loaded
//! before libc sets its clock, takes its names away and fills its disk.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The library and the files by which it is told what to do.
pub(crate) struct Adversity {
    dir: tempfile::TempDir,
}

impl Adversity {
    /// Built by the C compiler that links Rust programs too.
    pub(crate) fn build() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agent/adversity.c");
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]);
        command.arg(dir.path().join("adversity.so")).arg(source).arg("-ldl");
        assert!(command.status().unwrap().success());
        Self { dir }
    }

    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let at = |path: PathBuf| path.display().to_string();
        vec![
            ("LD_PRELOAD", at(self.dir.path().join("adversity.so"))),
            ("ADVERSITY_CLOCK_FILE", at(self.clock())),
            ("ADVERSITY_DNS_FILE", at(self.dns())),
            ("ADVERSITY_DISK_FILE", at(self.disk())),
        ]
    }

    /// Sets the agent's clock, by the seconds that it differs from this machine's.
    pub(crate) fn set_clock(&self, seconds: i64) {
        let new = self.dir.path().join("clock.new");
        std::fs::write(&new, seconds.to_string()).unwrap();
        std::fs::rename(new, self.clock()).unwrap();
    }

    pub(crate) fn stop_dns(&self) {
        std::fs::write(self.dns(), "").unwrap();
    }

    pub(crate) fn heal_dns(&self) {
        std::fs::remove_file(self.dns()).unwrap();
    }

    /// From now on this folder's disk is `full` or `read-only`.
    pub(crate) fn fail_writes(&self, folder: &Path, how: &str) {
        let new = self.dir.path().join("disk.new");
        std::fs::write(&new, format!("{how} {}", folder.display())).unwrap();
        std::fs::rename(new, self.disk()).unwrap();
    }

    pub(crate) fn heal_writes(&self) {
        std::fs::remove_file(self.disk()).unwrap();
    }

    fn disk(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    fn clock(&self) -> PathBuf {
        self.dir.path().join("clock")
    }

    fn dns(&self) -> PathBuf {
        self.dir.path().join("no-dns")
    }
}
