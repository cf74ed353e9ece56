//! `make demo-outage`: what an outage looks like, and that nothing is lost in it.
//!
//! Promises: it stops the demo's own Postgres and kills one of its receivers, for real; a line a
//! second or two says what an operator would see; at the end the books tell. Exit 0 only if the
//! pipeline recovered within two minutes, no device was called offline, and every message
//! that the devices numbered is stored.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::{AGENTS, Demo, Ended, SIMULATED_DEVICES};
use crate::service::stop_all;
use crate::{output, programs, provision};

/// Everybody who reports in the demo.
const DEVICES: usize = SIMULATED_DEVICES + AGENTS.len();
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Longest wait for what was held up.
const RECOVER_WITHIN: Duration = Duration::from_secs(120);
/// Which receiver is killed.
const VICTIM: usize = 1;

/// Runs the demo and its outage, each scene for `scene`.
///
/// # Errors
/// When a part cannot be started or stopped.
#[tokio::main(flavor = "current_thread")]
pub async fn run(stack: &Path, scene: Duration) -> Result<Ended> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut demo = Demo::start(stack)?;
    let mut outage = Outage { demo: &mut demo, scene, began: Instant::now() };
    let ended = tokio::select! {
        _ = terminate.recv() => Ended::Asked,
        _ = interrupt.recv() => Ended::Asked,
        played = outage.play() => match played {
            Ok(()) => Ended::Complete,
            Err(error) => {
                output::note(&format!("{error:#}"));
                Ended::Failed
            }
        },
    };
    output::line("stopping");
    demo.stop()?;
    output::line("stopped");
    Ok(ended)
}

struct Outage<'a> {
    demo: &'a mut Demo,
    scene: Duration,
    began: Instant,
}

impl Outage<'_> {
    async fn play(&mut self) -> Result<()> {
        self.tell("All is well: devices report, two receivers store.");
        self.until("all devices online", |line| calm(line) && online(line) >= Some(DEVICES))
            .await?;
        self.watch().await?;

        self.demo.servers.postgres.stop()?;
        self.tell("Postgres is stopped. Records wait in their streams; live metrics go on.");
        self.watch().await?;
        self.watch().await?;

        self.victim()?.kill()?;
        self.tell("A receiver is killed with all that it held (kill -9). The other one goes on.");
        self.watch().await?;

        self.demo.servers.postgres.restart()?;
        self.tell("Postgres is back. What waited is stored; nobody has to replay anything.");
        self.until("the backlog stored", calm).await?;
        self.still_online().await?;
        self.demo.start_receiver(VICTIM)?;
        self.tell(
            "The killed receiver is started again, as systemd would. No device was called offline.",
        );
        self.until("all devices online", |line| calm(line) && online(line) >= Some(DEVICES))
            .await?;
        self.watch().await?;

        self.tell("The devices stop, and the books are closed.");
        stop_all(&mut self.demo.senders)?;
        self.until("nothing under way", |line| line.contains("lag 0 ")).await?;
        self.close_the_books()
    }

    fn victim(&mut self) -> Result<&mut crate::service::Service> {
        let name = format!("receiver-{VICTIM}");
        let found = self.demo.services.iter_mut().find(|service| service.name() == name);
        found.with_context(|| format!("{name} is gone"))
    }

    fn tell(&self, what: &str) {
        output::line(&format!("\n{:>3} s  {what}", self.began.elapsed().as_secs()));
    }

    /// Shows the pipeline for one scene.
    async fn watch(&self) -> Result<()> {
        let over = Instant::now() + self.scene;
        while Instant::now() < over {
            self.look().await?;
        }
        Ok(())
    }

    /// Shows the pipeline until `is_so` holds of its line.
    async fn until(&self, what: &str, is_so: fn(&str) -> bool) -> Result<()> {
        let over = Instant::now() + RECOVER_WITHIN;
        while !is_so(&self.look().await?) {
            if Instant::now() >= over {
                bail!("not within {} s: {what}", RECOVER_WITHIN.as_secs());
            }
        }
        Ok(())
    }

    /// Nobody may have been called offline: all of it was our own fault.
    async fn still_online(&self) -> Result<()> {
        let line = self.look().await?;
        let found = online(&line).unwrap_or_default();
        if found < DEVICES {
            bail!("{} of {DEVICES} devices were called offline", DEVICES - found);
        }
        Ok(())
    }

    /// One line, as an operator sees it with `wegweiser status`.
    async fn look(&self) -> Result<String> {
        tokio::time::sleep(LOOK_EVERY).await;
        let line = programs::run("wegweiser", &["status"], &self.environment())?;
        output::line(&format!("{:>3} s    {line}", self.began.elapsed().as_secs()));
        Ok(line)
    }

    /// The ledger of the runs that this demo began; fails where a message is missing.
    fn close_the_books(&self) -> Result<()> {
        let age = format!("{}s", self.began.elapsed().as_secs() + 60);
        let ledger = programs::run(
            "wegweiser",
            &["ledger", "--totals", "--since", &age],
            &self.environment(),
        );
        let ledger = ledger.context("the books do not balance")?;
        output::line(&format!("\n$ wegweiser ledger --totals --since {age}\n{ledger}"));
        Ok(())
    }

    fn environment(&self) -> programs::Environment {
        let mut environment =
            provision::operator_environment(&self.demo.servers, &self.demo.places);
        environment.push(("WEGWEISER_LOG", "off".to_owned()));
        environment
    }
}

/// Both servers answer, and what arrives is stored within seconds.
fn calm(line: &str) -> bool {
    !line.contains("unavailable") && !line.contains("behind by")
}

/// How many devices are online, where Postgres answers.
fn online(line: &str) -> Option<usize> {
    let (_, counts) = line.rsplit_once("devices online ")?;
    counts.split_once(" of ")?.0.parse().ok()
}
