//! An installation without tenants, whose operator's identity key was taken away.

#![expect(clippy::unwrap_used, reason = "clippy allows it in the test functions, not in helpers")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use broker::{Broker, BrokerSettings, BrokerTls, ConnectError};
use devstack::{Nats, Postgres, Redis};
use serde_json::Value;

use super::DEADLINE;
use crate::support::{Place, stderr, stdout, text};

/// How long a live connection may outlive the verb that ends it.
pub(super) const CUT_WITHIN: Duration = Duration::from_secs(2);

pub(super) struct World {
    pub(super) place: Place,
    pub(super) nats: Nats,
    pub(super) _redis: Redis,
    pub(super) postgres: Postgres,
}

/// A program of ours that ends with its story.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl World {
    pub(super) async fn open() -> Self {
        let mut place = Place::empty();
        let (nats, redis) = (place.start_nats(), place.start_redis());
        let postgres = place.start_postgres();
        std::fs::remove_file(place.path("keys/operator/identity.nk")).unwrap();
        let world = Self { place, nats, _redis: redis, postgres };
        for verb in [&["accounts", "apply"][..], &["streams", "apply"], &["migrate"]] {
            world.done(verb);
        }
        world
    }

    /// Runs a verb that must succeed; what it printed.
    pub(super) fn done(&self, arguments: &[&str]) -> String {
        let said = self.place.wegweiser(arguments);
        let code = said.status.code();
        assert_eq!(code, Some(0), "{arguments:?}: {}{}", stdout(&said), stderr(&said));
        stdout(&said)
    }

    /// Runs a verb that must fail; why it did.
    pub(super) fn refused(&self, arguments: &[&str]) -> String {
        let said = self.place.wegweiser(arguments);
        assert_eq!(said.status.code(), Some(1), "{arguments:?}: {}", stdout(&said));
        stderr(&said)
    }

    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        let said = self.done(&[arguments, &["--output", "json"]].concat());
        serde_json::from_str(&said).unwrap()
    }

    pub(super) fn add_device(&self, tenant: &str, device: &str) -> PathBuf {
        let creds = self.place.path(&format!("{device}.creds"));
        let add = ["device", "add", "--tenant", tenant, "--device", device, "--creds-out"];
        self.done(&[&add[..], &[text(&creds)]].concat());
        creds
    }

    pub(super) async fn connect(&self, creds: &Path) -> Result<Broker, ConnectError> {
        let settings = BrokerSettings {
            url: self.nats.url().to_owned(),
            creds: Some(creds.to_owned()),
            tls: BrokerTls::trusting(&self.place.path("tls/ca.pem")),
            name: "story".to_owned(),
        };
        Broker::connect(&settings).await
    }

    /// Verbs reach Postgres as the role for daily work from now on, not as its superuser.
    pub(super) fn sign_in_as_operator(&mut self) {
        let password = self.place.path("operator-password");
        let sign_in = ["database-sign-in", "--name", "weg_operator", "--role", "operator"];
        self.done(&[&sign_in[..], &["--password-out", text(&password)]].concat());
        let address = self.postgres.address();
        let (port, database) = (address.port, address.database);
        self.place
            .set("DATABASE_URL", format!("postgresql://weg_operator@127.0.0.1:{port}/{database}"));
        self.place.set("WEGWEISER_DATABASE_PASSWORD_FILE", text(&password));
    }

    /// Runs a verb on a terminal on which somebody types; its exit code, and what the terminal
    /// shows.
    pub(super) fn on_a_terminal(&self, arguments: &[&str], typed: &str) -> (Option<i32>, String) {
        let wegweiser = self.place.program("wegweiser");
        let line = format!("{} {}", wegweiser.get_program().display(), arguments.join(" "));
        let mut script = Command::new("script");
        script.args(["-qefc", &line, "/dev/null"]).current_dir(self.place.path(""));
        script.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        let variables = wegweiser.get_envs().filter_map(|(name, value)| Some((name, value?)));
        script.envs(variables).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = script.spawn().unwrap();
        running.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        let said = running.wait_with_output().unwrap();
        (said.status.code(), stdout(&said))
    }

    pub(super) fn start(&self, program: &str, arguments: &[&str], role: &str) -> Running {
        let mut command = self.place.program(program);
        command.args(arguments).env("WEGWEISER_RECEIVER_LISTEN", "127.0.0.1:0");
        command.env("NATS_CREDS", self.place.path(&format!("creds/{role}.creds")));
        Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

/// Waits for a condition.
pub(super) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
