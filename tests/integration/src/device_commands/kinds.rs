//! What each kind answers, how its output comes, and how it is ended.
//!
//! osquery cannot be installed where these stories run: a program with the same command line stands
//! in for it. It says with which flags it was called, as osquery's own documentation names them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use protocol::CommandId;
use protocol::command::{CommandOutcome, EventWord, OutputStream};
use serde_json::json;

use super::site::{Site, code, program, run, succeeded};

const CONFIGURATION: &str = r#"
[heartbeat]
interval_ms = 1000
[monitoring]
interval_ms = 86400000
[commands]
output_max_bytes = 20000
[commands.osquery]
path = "{home}/osqueryi"
allowed_tables = ["os_version", "users"]
[commands.run.speak]
program = "{home}/speak"
[commands.run.flood]
program = "{home}/flood"
[commands.run.fail]
program = "{home}/fail"
[commands.run.sleep]
program = "{home}/sleep"
[commands.run.missing]
program = "{home}/missing"
"#;

#[tokio::test]
async fn the_machine_is_told_of_and_the_agent_does_as_it_is_told() -> Result<()> {
    let site = Site::open(CONFIGURATION).await?;
    let ping = site.order("ping", json!({})).await?;
    assert!(succeeded(&ping)?["agent_version"].is_string());
    let events = site.events(ping.command_id).await?;
    let words: Vec<EventWord> = events.iter().map(|event| event.event).collect();
    assert_eq!(words, [EventWord::Started, EventWord::Finished]);
    assert_eq!((events[0].number, events[0].status.as_str()), (0, "running"));
    assert_eq!((events[1].number, events[1].status.as_str()), (1, "success"));

    let system = site.order("system.info", json!({})).await?;
    let system = succeeded(&system)?;
    for field in ["hostname", "kernel", "memory_total_bytes", "disks", "network_interfaces"] {
        assert!(!system[field].is_null(), "{field}: {system}");
    }
    let processes = site.order("process.list", json!({ "limit": 3 })).await?;
    let processes = succeeded(&processes)?;
    assert_eq!(processes["processes"].as_array().context("a list")?.len(), 3);

    let unknown = site.order("agent.set-interval", json!({ "collector": "gpu", "seconds": 1 }));
    assert_eq!(code(&unknown.await?), "bad_arguments");
    let reports = site.world.messages_in("MONITORING").await?;
    let now = site.order("agent.collect-now", json!({})).await?;
    assert!(succeeded(&now)?["collectors"].as_u64() > Some(0));
    let set = site.order("agent.set-interval", json!({ "collector": "monitoring", "seconds": 1 }));
    assert_eq!(succeeded(&set.await?)?["seconds"], 1);
    crate::world::eventually("reports at once and at the new interval", async || {
        Ok((site.world.messages_in("MONITORING").await? >= reports + 3).then_some(()))
    })
    .await?;

    let started = json!({ "metrics": ["cpu_percent"], "interval_ms": 250, "ttl_s": 2 });
    let started = site.order("metrics.start", started).await?;
    assert_eq!(succeeded(&started)?["collectors"], json!(["cpu"]));
    let stopped = site.order("metrics.stop", json!({})).await?;
    assert_eq!(succeeded(&stopped)?["ended"], true);
    let said = site.heartbeat(|said| said["ended"]["succeeded"] == 7).await?;
    assert_eq!(said["refused"]["bad_arguments"], 1, "{said}");
    Ok(())
}

#[tokio::test]
async fn osquery_is_asked_read_only_and_with_the_tables_of_the_configuration() -> Result<()> {
    let site = Site::open(CONFIGURATION).await?;
    let question = json!({ "sql": "SELECT deleted_at, path FROM users; -- it's \"fine\"" });
    let missing = site.order("osquery", question.clone()).await?;
    assert_eq!(code(&missing), "program_missing");
    let text = missing.reason.context("a reason")?.text;
    assert!(text.contains("osquery is not installed at"), "{text}");

    // What it is called with, one a row; the last is the query itself.
    let stand_in = r#"out='['; for a in "$@"; do
        a=$(printf %s "$a" | sed 's/\\/\\\\/g; s/"/\\"/g'); out="$out{\"a\":\"$a\"},"; done
        printf '%s]' "${out%,}""#;
    program(&site.home().join("osqueryi"), stand_in)?;
    let answer = site.order("osquery", question.clone()).await?;
    let rows = succeeded(&answer)?["rows"].as_array().context("rows")?.clone();
    let called: Vec<&str> = rows.iter().filter_map(|row| row["a"].as_str()).collect();
    assert_eq!(called.first(), Some(&"--json"));
    assert_eq!(called.last().copied(), question["sql"].as_str());
    for flag in [
        "--disable_extensions=true",
        "--disable_tables=carves,curl,curl_certificate",
        "--enable_tables=os_version,users",
    ] {
        assert!(called.contains(&flag), "{flag} is not in {called:?}");
    }

    program(&site.home().join("osqueryi"), "echo 'Error: no such table: curl' >&2; exit 1")?;
    let wrong = site.order("osquery", json!({ "sql": "SELECT * FROM curl" })).await?;
    assert_eq!(code(&wrong), "program_failed");
    assert!(wrong.reason.context("a reason")?.text.contains("no such table: curl"));
    program(&site.home().join("osqueryi"), "head -c 30000 /dev/zero")?;
    let large = site.order("osquery", json!({ "sql": "SELECT * FROM users" })).await?;
    assert!(large.reason.context("a reason")?.text.contains("more than 20000 bytes"));
    Ok(())
}

#[tokio::test]
async fn output_comes_in_order_while_it_runs_and_is_cut_where_the_setting_says() -> Result<()> {
    let site = Site::open(CONFIGURATION).await?;
    let gate = site.home().join("gate");
    let speak = site.home().join("speak");
    let script = format!(
        "env | grep -qv '^PATH=\\|^PWD=\\|^OLDPWD=\\|^SHLVL=\\|^_=' && echo leaked\n\
         echo first; echo wrong >&2\nwhile ! test -e {0}; do sleep 0.05; done\necho last",
        gate.display()
    );
    program(&speak, &script)?;
    let id = site.publish(&site.signed(("run", run(&speak, &[])), |_| {})?).await?;
    site.until(id, EventWord::Output, 2).await?;
    let events = site.events(id).await?;
    assert!(events.iter().all(|event| event.event != EventWord::Finished), "as it comes");
    std::fs::write(&gate, "")?;
    let end = site.end_of(id).await?;
    assert_eq!(succeeded(&end)?["exit_code"], 0);
    let events = site.events(id).await?;
    let numbers: Vec<u32> = events.iter().map(|event| event.number).collect();
    assert_eq!(numbers, (0..=end.number).collect::<Vec<_>>());
    let of = |stream| {
        let of_stream = events.iter().filter(move |event| event.stream == Some(stream));
        of_stream.filter_map(|event| Some((event.offset?, event.chunk.as_deref()?)))
    };
    assert_eq!(of(OutputStream::Stdout).collect::<Vec<_>>(), [(0, "first\n"), (6, "last\n")]);
    assert_eq!(of(OutputStream::Stderr).collect::<Vec<_>>(), [(0, "wrong\n")]);

    let flood = site.home().join("flood");
    program(&flood, "head -c 100000 /dev/zero | tr '\\0' x")?;
    let end = site.order("run", run(&flood, &[])).await?;
    let result = succeeded(&end)?;
    assert_eq!((&result["stdout_bytes"], &result["cut"]), (&json!(100_000), &json!(true)));
    let events = site.events(end.command_id).await?;
    let told: usize = events.iter().filter_map(|event| event.chunk.as_ref()).map(String::len).sum();
    assert_eq!(told, 20_000);
    let cut: Vec<bool> = events.iter().filter_map(|event| event.cut).collect();
    assert_eq!(cut.iter().filter(|cut| **cut).count(), 1, "{cut:?}");
    assert_eq!(cut.last(), Some(&true));

    let fail = site.home().join("fail");
    program(&fail, "exit 3")?;
    let end = site.order("run", run(&fail, &[])).await?;
    assert_eq!(
        (code(&end), &end.result.context("a result")?["exit_code"]),
        ("program_failed", &json!(3))
    );
    let end = site.order("run", run(&site.home().join("missing"), &[])).await?;
    assert_eq!(code(&end), "program_missing");
    Ok(())
}

#[tokio::test]
async fn a_cancel_reaches_what_runs_within_two_seconds_and_a_restart_tells_of_the_rest()
-> Result<()> {
    let mut site = Site::open(CONFIGURATION).await?;
    let sleep = site.home().join("sleep");
    program(&sleep, "trap '' TERM; echo here; while :; do sleep 0.1; done")?;
    let lasting = site.publish(&site.signed(("run", run(&sleep, &[])), |_| {})?).await?;
    site.until(lasting, EventWord::Output, 1).await?;
    let asked = Instant::now();
    let cancel = site.order("agent.cancel", json!({ "command_id": lasting })).await?;
    assert_eq!(succeeded(&cancel)?["was"], "running");
    let end = site.end_of(lasting).await?;
    let took = asked.elapsed();
    assert_eq!((code(&end), end.outcome), ("cancelled", Some(CommandOutcome::Cancelled)));
    assert!(took < Duration::from_secs(2), "{took:?}");

    let ahead = site.signed(("run", run(&sleep, &[])), |_| {})?;
    let cancel = json!({ "command_id": ahead.command_id });
    assert_eq!(succeeded(&site.order("agent.cancel", cancel).await?)?["was"], "unknown");
    site.publish(&ahead).await?;
    assert_eq!(code(&site.end_of(ahead.command_id).await?), "cancelled");

    // Two run and one waits when the agent dies.
    let mut ids: Vec<CommandId> = Vec::new();
    for _ in 0..2 {
        ids.push(site.publish(&site.signed(("run", run(&sleep, &[])), |_| {})?).await?);
    }
    for id in &ids {
        site.until(*id, EventWord::Output, 1).await?;
    }
    let waiting = site.publish(&site.signed(("ping", json!({})), |_| {})?).await?;
    site.heartbeat(|said| said["waiting"] == 1 && said["running"] == 2).await?;
    site.agent.kill()?;
    site.start_again()?;
    for id in ids {
        let end = site.end_of(id).await?;
        assert_eq!((code(&end), end.outcome), ("interrupted", Some(CommandOutcome::Failed)));
    }
    succeeded(&site.end_of(waiting).await?)?;
    Ok(())
}

#[tokio::test]
async fn an_agent_without_a_consumer_waits_for_one_without_a_word() -> Result<()> {
    let site = Site::open(CONFIGURATION).await?;
    let commands = async_nats::jetstream::new(site.operator.clone()).get_stream("COMMANDS").await?;
    commands.delete_consumer(&site.device.to_string()).await?;
    let waiting = site.publish(&site.signed(("ping", json!({})), |_| {})?).await?;
    site.heartbeat(|_| true).await?;
    assert!(site.events(waiting).await?.is_empty());
    commands.create_consumer(super::site::consumer_of(site.tenant, site.device)).await?;
    succeeded(&site.end_of(waiting).await?)?;
    let log = site.agent.log();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    Ok(())
}
