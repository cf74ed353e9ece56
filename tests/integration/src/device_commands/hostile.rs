//! `run` with everything that somebody would try: each ends as docs/agent.md says.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use protocol::Order;
use protocol::command::CommandOutcome;
use serde_json::json;

use super::site::{Site, code, program, run, succeeded};
use crate::world::{eventually, executable};

const CONFIGURATION: &str = r#"
[commands.run.show]
program = "{home}/show"
arguments = ["{name}"]
[commands.run.read]
program = "{home}/show"
arguments = ["-f", "{path:{home}/logs}"]
[commands.run.literal]
program = "{home}/show"
arguments = ["; rm -rf {home}", "$(touch {home}/owned)"]
[commands.run.endless]
program = "{home}/endless"
[commands.run.stubborn]
program = "{home}/stubborn"
[commands.run.deserter]
program = "{home}/deserter"
[commands.run.bomb]
program = "{home}/bomb"
"#;

#[tokio::test]
async fn no_argument_is_read_by_a_shell_and_none_leaves_its_pattern() -> Result<()> {
    let site = Site::open(CONFIGURATION).await?;
    let show = site.home().join("show");
    program(&show, "for argument in \"$@\"; do printf '%s|' \"$argument\"; done")?;
    let home = site.home().display().to_string();
    std::fs::create_dir(site.home().join("logs"))?;
    std::fs::write(site.home().join("logs/a.log"), "")?;
    for arguments in [
        vec!["; rm -rf /".to_owned()],
        vec!["$(id)".to_owned()],
        vec!["`id`".to_owned()],
        vec!["a b".to_owned()],
        vec!["-rf".to_owned()],
        vec![],
        vec!["-f".to_owned(), format!("{home}/logs/../command-keys")],
        vec!["-f".to_owned(), "/etc/passwd".to_owned()],
        vec!["-f".to_owned(), "../../etc/passwd".to_owned()],
    ] {
        let wanted = json!({ "program": show, "arguments": arguments });
        let end = site.order("run", wanted).await?;
        assert_eq!(code(&end), "not_allowed", "{arguments:?}: {end:?}");
    }
    let detour = site.home().join("logs/../show");
    assert_eq!(code(&site.order("run", run(&detour, &["a"])).await?), "not_allowed");

    // What the owner allows word for word comes word for word: nothing reads it but the program.
    let (rm, touch) = (format!("; rm -rf {home}"), format!("$(touch {home}/owned)"));
    let end = site.order("run", run(&show, &[&rm, &touch])).await?;
    succeeded(&end)?;
    let events = site.events(end.command_id).await?;
    let said: String = events.iter().filter_map(|event| event.chunk.clone()).collect();
    assert_eq!(said, format!("{rm}|{touch}|"));
    assert!(show.exists() && !site.home().join("owned").exists());
    let end = site.order("run", run(&show, &["-f", &format!("{home}/logs/a.log")])).await?;
    succeeded(&end)?;
    Ok(())
}

#[tokio::test]
async fn an_argument_of_ten_megabytes_is_refused_before_it_is_signed_and_by_the_stream()
-> Result<()> {
    let site = Site::open(CONFIGURATION).await?;
    let large = "x".repeat(10 * 1024 * 1024);
    let arguments = json!({ "program": "/bin/true", "arguments": [large] });
    let error = Order::parse("run", &arguments).err().context("an error")?.to_string();
    assert!(error.contains("arguments[0]: has 10485760 bytes; give up to 16384"), "{error}");
    let signed = site.signed(("ping", json!({})), |command| command.arguments = arguments)?;
    assert!(signed.to_payload().is_err(), "larger than the stream takes");
    let published = site.publish_payload(serde_json::to_vec(&signed)?).await;
    assert!(published.is_err(), "{published:?}");
    succeeded(&site.order("ping", json!({})).await?)?;
    Ok(())
}

#[tokio::test]
async fn endless_output_and_a_child_that_ignores_the_signal_end_with_all_that_they_started()
-> Result<()> {
    let site = Site::open(CONFIGURATION).await?;
    let endless = site.home().join("endless");
    program(&endless, "yes a-line-of-no-end")?;
    let end = site.order("run", run(&endless, &[])).await?;
    assert_eq!(code(&end), "program_failed", "{end:?}");
    assert!(end.reason.as_ref().context("a reason")?.text.contains("printed without end"));
    assert_eq!(end.result.as_ref().context("a result")?["cut"], true);

    let stubborn = site.home().join("stubborn");
    let child = site.home().join("child");
    let script = format!(
        "trap '' TERM\nsh -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 1; done' &\n\
         while :; do sleep 1; done",
        child.display()
    );
    program(&stubborn, &script)?;
    let end = site.order_within("run", run(&stubborn, &[]), Some(1_500)).await?;
    assert_eq!((code(&end), end.outcome), ("timed_out", Some(CommandOutcome::TimedOut)));
    let pid = std::fs::read_to_string(&child)?;
    eventually("the child is gone", async || Ok(is_gone(pid.trim()).then_some(()))).await?;
    succeeded(&site.order("ping", json!({})).await?)?;
    Ok(())
}

#[tokio::test]
async fn what_leaves_its_process_group_is_not_found_and_holds_nothing_up() -> Result<()> {
    let site = Site::open(CONFIGURATION).await?;
    let (deserter, grandchild) = (site.home().join("deserter"), site.home().join("grandchild"));
    // It keeps both outputs open, so that whoever waited for their end would wait for ever.
    let script = format!(
        "setsid sh -c 'echo $$ > {0}; exec sleep 600' &\n\
         while ! test -s {0}; do sleep 0.05; done\necho done",
        grandchild.display()
    );
    program(&deserter, &script)?;
    let end = site.order_within("run", run(&deserter, &[]), Some(30_000)).await?;
    assert_eq!(succeeded(&end)?["exit_code"], 0);
    let events = site.events(end.command_id).await?;
    let said: String = events.iter().filter_map(|event| event.chunk.clone()).collect();
    assert_eq!(said, "done\n");
    let pid = std::fs::read_to_string(&grandchild)?;
    assert!(!is_gone(pid.trim()), "it ends with the service's control group, which is not here");
    let pid = rustix::process::Pid::from_raw(pid.trim().parse()?).context("a process")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    Ok(())
}

/// A zombie is as dead: who collects it is not ours to say.
fn is_gone(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

/// A user of nobody else's, for whom the kernel counts processes; root's are not counted.
const LONELY_USER: u32 = 61_234;

/// The agent of a site, run as an unprivileged user with files of its own.
struct Unprivileged {
    child: Child,
    _home: tempfile::TempDir,
}

impl Unprivileged {
    fn start(site: &Site, home: tempfile::TempDir, script: &str) -> Result<Self> {
        let path = home.path();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
        program(&path.join("bomb"), script)?;
        let place = |name: &str| path.join(name);
        std::fs::copy(site.creds(), place("device.creds"))?;
        std::fs::copy(site.home().join("command-keys"), place("command-keys"))?;
        let configuration = format!(
            "[commands]\nmax_processes = 60\n[commands.run.bomb]\nprogram = {:?}\n",
            place("bomb").display()
        );
        std::fs::write(place("agent.toml"), configuration)?;
        for name in ["device.creds", "command-keys", "agent.toml", "."] {
            chown(place(name), Some(LONELY_USER), Some(LONELY_USER))?;
        }
        let child = Command::new(executable("wegweiser-agent")?)
            .env_clear()
            .env("NATS_URL", site.world.nats.url())
            .env("NATS_CREDS", place("device.creds"))
            .env("WEGWEISER_TENANT", site.tenant.to_string())
            .env("WEGWEISER_AGENT_CONFIG", place("agent.toml"))
            .env("WEGWEISER_AGENT_SPOOL_DIR", place("spool"))
            .env("WEGWEISER_AGENT_STATUS_FILE", place("status.json"))
            .uid(LONELY_USER)
            .gid(LONELY_USER)
            .stdin(Stdio::null())
            .spawn()?;
        Ok(Self { child, _home: home })
    }
}

impl Drop for Unprivileged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processes of the lonely user, but for zombies.
fn processes() -> Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let Ok(status) = std::fs::read_to_string(path.join("status")) else { continue };
        let owned = status.lines().any(|line| {
            line == format!("Uid:\t{LONELY_USER}\t{LONELY_USER}\t{LONELY_USER}\t{LONELY_USER}")
        });
        let dead = status.lines().any(|line| line.starts_with("State:\tZ"));
        count += usize::from(owned && !dead);
    }
    Ok(count)
}

#[tokio::test]
async fn a_fork_bomb_stays_within_its_limit_and_is_gone_when_its_time_is_up() -> Result<()> {
    let mut site = Site::open(CONFIGURATION).await?;
    // It answers for the device from now on.
    site.agent.kill()?;
    let home = tempfile::tempdir()?;
    let bomb = home.path().join("bomb");
    // It stays, without one more process, for which there might be no room.
    let script = "bomb() { bomb | bomb & }; bomb; exec sleep 60";
    let mut agent = Unprivileged::start(&site, home, script)?;
    succeeded(&site.order("ping", json!({})).await?)?;
    let id = site
        .publish(&site.signed(("run", run(&bomb, &[])), |command| command.timeout_ms = 3_000)?)
        .await?;
    let mut most = 0;
    let end = loop {
        most = most.max(processes()?);
        let events = site.events(id).await?;
        if let Some(end) = events.into_iter().find(|event| event.outcome.is_some()) {
            break end;
        }
    };
    assert_eq!(code(&end), "timed_out", "{end:?}");
    assert!((2..=61).contains(&most), "{most} processes");
    eventually("the agent alone is left", async || Ok((processes()? == 1).then_some(()))).await?;
    succeeded(&site.order("ping", json!({})).await?)?;
    assert!(agent.child.try_wait()?.is_none());
    Ok(())
}
