//! The agent enrols its device over HTTPS, and stays by itself.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use futures::TryStreamExt as _;
use identity::Credentials;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{Desk, token};
use crate::world::{Process, World, eventually, executable};

/// Where one agent has its files.
struct Home {
    config: PathBuf,
    creds: PathBuf,
}

impl Home {
    fn new(world: &World, name: &str) -> Self {
        let directory = world.path(name);
        Self { config: directory.join("etc/agent.toml"), creds: directory.join("var/device.creds") }
    }

    /// Enrols with a token on standard input.
    async fn enroll(&self, desk: &Desk, ca: &Path, token: &str, more: &[&str]) -> Result<Output> {
        let mut child = Command::new(executable("wegweiser-agent")?)
            .env_clear()
            .args(["enroll", "--token-file", "-", "--url", &desk.url, "--ca"])
            .arg(ca)
            .arg("--creds")
            .arg(&self.creds)
            .arg("--config")
            .arg(&self.config)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut input = child.stdin.take().context("its input")?;
        input.write_all(token.as_bytes()).await?;
        drop(input);
        Ok(child.wait_with_output().await?)
    }

    /// Runs with what the enrolment wrote and nothing else.
    fn run(&self, world: &World) -> Result<Process> {
        let config = self.config.display().to_string();
        let environment = [
            ("WEGWEISER_AGENT_CONFIG".to_owned(), config),
            ("WEGWEISER_RECONNECT_SPREAD_MS".to_owned(), "250".to_owned()),
            ("WEGWEISER_METRICS_INTERVAL_MS".to_owned(), "250".to_owned()),
        ];
        Process::start("wegweiser-agent", &environment, &world.path(""))
    }

    fn ends(&self) -> Result<i64> {
        let ends = Credentials::load(&self.creds)?.user().expires;
        Ok(ends.context("an end")?.as_i64())
    }
}

async fn https_desk(world: &World, more: &[(&str, &str)]) -> Result<(Desk, PathBuf)> {
    let tls = devstack::tls::files_in(&world.path("tls"))?;
    let (cert, key) = (tls.certificate.display().to_string(), tls.key.display().to_string());
    let mut settings =
        vec![("WEGWEISER_WEB_TLS_CERT", cert.as_str()), ("WEGWEISER_WEB_TLS_KEY", key.as_str())];
    settings.extend(more);
    Ok((Desk::open(world, &settings).await?, tls.ca))
}

#[tokio::test]
async fn of_two_agents_with_one_token_one_is_enrolled_and_neither_twice() -> Result<()> {
    let world = World::start().await?;
    let (desk, ca) = https_desk(&world, &[]).await?;
    let (_, token) = token(&world, world.tenants[0], &[]).await?;
    let homes = [Home::new(&world, "one"), Home::new(&world, "other")];
    let (one, other) = tokio::try_join!(
        homes[0].enroll(&desk, &ca, &token, &[]),
        homes[1].enroll(&desk, &ca, &token, &[])
    )?;
    let won = usize::from(!one.status.success());
    ensure!(one.status.success() != other.status.success(), "{one:?} {other:?}");
    let lost = if won == 0 { other } else { one };
    let said = String::from_utf8(lost.stderr)?;
    assert!(said.contains("ask your operator for a new one"), "{said}");
    assert!(!homes[1 - won].creds.exists());

    let winner = &homes[won];
    let mode = std::fs::metadata(&winner.creds)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = Credentials::load(&winner.creds)?;
    let again = winner.enroll(&desk, &ca, &token, &[]).await?;
    let said = String::from_utf8(again.stderr)?;
    assert!(!again.status.success() && said.contains("give --force"), "{said}");
    assert_eq!(Credentials::load(&winner.creds)?.user(), before.user());
    let keys = std::fs::read_to_string(winner.creds.with_file_name("command-keys"))?;
    assert_eq!(world.wegweiser(&["command-key", "show"]).await?.1, keys);
    Ok(())
}

#[tokio::test]
async fn an_agent_outlives_its_credentials_and_loses_nothing() -> Result<()> {
    let world = World::start().await?;
    let life = [("WEGWEISER_DEVICE_LIFETIME_SECONDS", "9")];
    let (desk, ca) = https_desk(&world, &life).await?;
    let (_, token) = token(&world, world.tenants[1], &[]).await?;
    let home = Home::new(&world, "home");
    let enrolled = home.enroll(&desk, &ca, &token, &["--name", "till 4"]).await?;
    ensure!(enrolled.status.success(), "{enrolled:?}");
    let first_end = home.ends()?;
    let mut agent = home.run(&world)?;
    eventually("three renewals", async || {
        let renewed = agent.log().matches("credentials renewed").count();
        Ok((renewed >= 3).then_some(()))
    })
    .await?;
    assert!(home.ends()? > first_end + 9, "they are those of a later renewal");
    ensure!(agent.stop().await?.success(), "{}", agent.log());
    let log = agent.log();
    assert!(!log.contains("eyJ0eXAiOiJKV1Qi"), "a JWT is in the log");

    let mut numbers = published(&world).await?;
    let last = numbers.pop_last().context("points")?;
    let missing: Vec<u64> = (1..last).filter(|number| !numbers.contains(number)).collect();
    assert!(missing.is_empty(), "{missing:?} of {last} are missing\n{log}");
    Ok(())
}

/// The numbers of the metric points that the stream has.
async fn published(world: &World) -> Result<BTreeSet<u64>> {
    use async_nats::jetstream::consumer::{DeliverPolicy, pull};
    let jetstream = async_nats::jetstream::new(world.operator().await?);
    let stream = jetstream.get_stream("METRICS").await?;
    let held = usize::try_from(stream.cached_info().state.messages)?;
    let look = pull::Config { deliver_policy: DeliverPolicy::All, ..pull::Config::default() };
    let consumer = stream.create_consumer(look).await?;
    let messages = consumer.fetch().max_messages(held).messages().await?;
    let messages: Vec<_> = messages.try_collect().await.map_err(anyhow::Error::from_boxed)?;
    let mut numbers = BTreeSet::new();
    for message in messages {
        let headers = message.headers.as_ref().context("headers")?;
        let id = headers.get("Nats-Msg-Id").context("an id")?.as_str();
        let number = id.rsplit(':').next().context("a number")?;
        numbers.insert(number.parse()?);
    }
    Ok(numbers)
}

#[tokio::test]
async fn a_revoked_device_is_told_so_and_its_credentials_end() -> Result<()> {
    let world = World::start().await?;
    let life = [("WEGWEISER_DEVICE_LIFETIME_SECONDS", "6")];
    let (desk, ca) = https_desk(&world, &life).await?;
    let (_, token) = token(&world, world.tenants[0], &[]).await?;
    let home = Home::new(&world, "home");
    ensure!(home.enroll(&desk, &ca, &token, &[]).await?.status.success());
    let device = Credentials::load(&home.creds)?.user().name.parse()?;
    let records = world.records()?;
    let revoked = storage::DeviceState::Revoked;
    ensure!(records.set_device_state(world.tenants[0], device, revoked).await?);
    let end = home.ends()?;
    let agent = home.run(&world)?;
    agent.logs("the device is revoked").await?;
    eventually("a connection that ends and is not made again", async || {
        Ok(agent.log().contains("connection to the broker lost").then_some(()))
    })
    .await?;
    assert_eq!(home.ends()?, end, "it got no other credentials");
    Ok(())
}
