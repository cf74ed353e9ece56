//! Receiver and web service as a service manager sees them: ready, alive, stopping; and what they
//! log while somebody looks closer.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use anyhow::{Context as _, Result};
use devstack::{Postgres, Redis};
use rustix::process::{Pid, Signal, kill_process};

use crate::world::{Process, World, eventually, get, look, now_ms, scrape};

fn signal(process: &Process, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(process.id())?).context("a process id")?;
    Ok(kill_process(pid, signal)?)
}

/// Stands where systemd stands.
struct Manager {
    socket: UnixDatagram,
    told: BTreeSet<String>,
}

impl Manager {
    fn at(path: &Path) -> Result<Self> {
        let socket = UnixDatagram::bind(path)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, told: BTreeSet::new() })
    }

    async fn is_told(&mut self, word: &str) -> Result<()> {
        eventually(word, async || {
            let mut bytes = [0; 4_096];
            while let Ok(length) = self.socket.recv(&mut bytes) {
                let said = String::from_utf8_lossy(&bytes[..length]);
                self.told.extend(said.lines().map(str::to_owned));
            }
            Ok(self.told.iter().any(|said| said.contains(word)).then_some(()))
        })
        .await
        .with_context(|| format!("it was told {:?}", self.told))
    }
}

#[tokio::test]
async fn both_services_tell_systemd_how_they_are() -> Result<()> {
    let world = World::start().await?;
    let path = world.path("notify");
    let socket = path.display().to_string();
    let told = [
        ("NOTIFY_SOCKET", socket.as_str()),
        ("WATCHDOG_USEC", "500000"),
        // Nothing listens there.
        ("METRICS_REDIS_PORT", "1"),
        ("WEGWEISER_ISSUING_KEYS", ""),
    ];
    for program in ["receiver", "web"] {
        let mut manager = Manager::at(&path)?;
        let mut service = match program {
            "receiver" => world.receiver(&told[..2])?,
            _ => world.web_with(world.database.clone(), &told)?,
        };
        manager.is_told("READY=1").await?;
        manager.is_told("WATCHDOG=1").await?;
        let status =
            if program == "web" { "STATUS=redis: redis is unavailable" } else { "STATUS=ready" };
        manager.is_told(status).await?;
        assert!(service.stop().await?.success());
        manager.is_told("STOPPING=1").await?;
        std::fs::remove_file(&path)?;
    }
    Ok(())
}

#[tokio::test]
async fn the_web_service_is_not_ready_before_it_takes_no_more_connections() -> Result<()> {
    let world = World::start().await?;
    let told = [("WEGWEISER_WEB_UNREADY_SECONDS", "5"), ("WEGWEISER_ISSUING_KEYS", "")];
    let mut web = world.web_with(world.database.clone(), &told)?;
    eventually("ready", async || {
        Ok((!get(&web, ": listening", "/readyz").await?.contains("starting")).then_some(()))
    })
    .await?;
    signal(&web, Signal::TERM)?;
    eventually("draining, and still answering", async || {
        Ok(get(&web, ": listening", "/readyz").await?.contains("draining").then_some(()))
    })
    .await?;
    assert_eq!(get(&web, ": listening", "/healthz").await?, "alive\n");
    assert!(web.stop().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_receiver_says_that_it_drains_while_it_finishes_what_it_holds() -> Result<()> {
    let (redis, postgres) = (Redis::builder().start()?, Postgres::builder().fsync(false).start()?);
    let world = World::start_on(redis.port(), &postgres.address()).await?;
    let path = world.path("notify");
    let mut manager = Manager::at(&path)?;
    let socket = path.display().to_string();
    let told = [("NOTIFY_SOCKET", socket.as_str()), ("WATCHDOG_USEC", "500000")];
    let mut receiver = world.receiver(&told)?;
    manager.is_told("STATUS=ready").await?;
    manager.is_told("WATCHDOG=1").await?;
    assert_eq!(look(&receiver, "health listening", "/readyz").await?.0, 200);

    // It is in the middle of a write, for as long as Redis does not answer.
    redis.pause()?;
    let device = world.device(0).await?;
    device.point("uptime", now_ms(), 1.0).await?;
    eventually("a point in hand", async || {
        let page = scrape(&receiver, "health listening").await?;
        Ok(page.is(r#"wegweiser_held_messages{stream="METRICS"}"#, 1.0).then_some(()))
    })
    .await?;
    signal(&receiver, Signal::TERM)?;
    let said = eventually("not ready, and still answering", async || {
        let (status, said) = look(&receiver, "health listening", "/readyz").await?;
        Ok((status == 503).then_some(said))
    })
    .await?;
    assert!(said.contains(r#""process":"draining""#), "with its reason: {said}");
    manager.is_told("STOPPING=1").await?;
    assert_eq!(look(&receiver, "health listening", "/healthz").await?, (200, "alive\n".to_owned()));
    redis.resume()?;
    assert!(receiver.stop().await?.success());
    assert_eq!(world.ring(device.id, "uptime").await?.len(), 1, "what it held is written");
    let consumer = world.broker("receiver").await?.consumer_state("METRICS", "rings").await?;
    assert!(consumer.is_drained(), "and acknowledged");
    Ok(())
}

#[tokio::test]
async fn what_is_logged_changes_while_a_receiver_runs_and_goes_to_a_file_too() -> Result<()> {
    logs_change(&[]).await?;
    // Nothing listens there: what is recorded leaves in vain, and the log is the same.
    logs_change(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]).await
}

async fn logs_change(more: &[(&str, &str)]) -> Result<()> {
    let world = World::start().await?;
    let (filter, folder) = (world.path("log-filter"), world.path("wlog"));
    let file = folder.join("wegweiser.log").display().to_string();
    let filter_file = filter.display().to_string();
    let told = [
        ("WEGWEISER_LOG_FILTER_FILE", filter_file.as_str()),
        ("WEGWEISER_LOG_FILE", &file),
        // Fewer than there are parts that come up.
        ("WEGWEISER_LOG_BURST_PER_S", "3"),
    ];
    let mut receiver = world.receiver(&[&told, more].concat())?;
    receiver.logs("connected to the broker").await?;

    std::fs::write(&filter, "no=such=filter\n")?;
    signal(&receiver, Signal::HUP)?;
    receiver.logs("the log's filter stays as it is").await?;
    std::fs::write(&filter, "async_nats=trace,info\n")?;
    signal(&receiver, Signal::HUP)?;
    receiver.logs("TRACE async_nats").await?;
    std::fs::remove_file(&filter)?;
    receiver.logs(r#"filter="info,async_nats=warn" before="async_nats=trace,info""#).await?;
    assert!(receiver.stop().await?.success());

    let log = std::fs::read_to_string(&file).context("the link to the newest file")?;
    for line in ["connected to the broker", "TRACE async_nats", "lines were left out", "stopped"] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
    assert!(!log.contains('\x1b'), "colours in a file");
    let printed = receiver.log();
    assert!(printed.lines().all(|line| line.starts_with("20")), "no line of the log:\n{printed}");
    let names: Vec<_> =
        std::fs::read_dir(&folder)?.flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names.len(), 2, "the file of today and the link to it: {names:?}");
    Ok(())
}
