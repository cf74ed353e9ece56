//! The web service that is built beside a measurement, against servers of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use devstack::{Nats, Postgres, Redis};
use secrecy::ExposeSecret as _;
use serde_json::Value;

/// Clock ticks of /proc a second, the same on every Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// It, ended when dropped.
pub(crate) struct Service {
    child: Child,
    pub(crate) address: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    /// Starts it and waits until it has reached the broker.
    pub(crate) fn start(nats: &Nats, redis: &Redis, postgres: &Postgres) -> Self {
        let program = std::env::current_exe().unwrap();
        let program = program.with_file_name("wegweiser-web");
        let mut child = Command::new(&program)
            .env_clear()
            .env("WEGWEISER_WEB_LISTEN", "127.0.0.1:0")
            .env("WEGWEISER_LOG_FORMAT", "json")
            .env("WEGWEISER_WEB_CALLER_REQUESTS_PER_SECOND", "100000")
            .env("WEGWEISER_WEB_ADDRESS_REQUESTS_PER_SECOND", "100000")
            .env("NATS_URL", nats.url())
            .env("METRICS_REDIS_HOST", redis.host())
            .env("METRICS_REDIS_PORT", redis.port().to_string())
            .env("DATABASE_URL", postgres.address().url().expose_secret())
            .stderr(Stdio::piped())
            .spawn()
            .expect("wegweiser-web is built beside it");
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let (mut address, mut broker) = (None, false);
        while address.is_none() || !broker {
            let line: Value = serde_json::from_str(&log.next().unwrap().unwrap()).unwrap();
            if line["message"] == "listening" {
                address = Some(line["address"].as_str().unwrap().to_owned());
            }
            broker |= line["message"] == "up" && line["part"] == "broker";
        }
        std::thread::spawn(move || log.map_while(Result::ok).for_each(drop));
        Self { child, address: address.unwrap() }
    }

    /// Seconds on a processor so far.
    pub(crate) fn processor_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / TICKS_A_SECOND
    }

    /// What it has resident.
    pub(crate) fn resident_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }
}
