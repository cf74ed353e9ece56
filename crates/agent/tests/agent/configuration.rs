//! The configuration file: what it is checked for, what stands above it, and that it is followed
//! while the agent runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

use protocol::{Event, Heartbeat};

use crate::stage::{Agent, Creds, Events, Operator, TENANT, program, server};

fn check(config: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = program();
    command.args(["config", "check", "--config"]).arg(config).args(arguments);
    command.envs(variables.iter().copied()).output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A file beside the credentials, which go with them.
fn write(creds: &Creds, text: &str) -> PathBuf {
    let path = creds.path.with_file_name("agent.toml");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn the_default_configuration_can_be_used_as_it_is_printed() {
    let printed = program().args(["config", "print-default"]).output().unwrap();
    assert!(printed.status.success());
    let creds = Creds::issue();
    let text = String::from_utf8(printed.stdout).unwrap();
    let config = write(&creds, &text);
    let secrets = [("NATS_CREDS", creds.path.to_str().unwrap()), ("WEGWEISER_TENANT", TENANT)];
    let output = check(&config, &[], &secrets);
    assert!(output.status.success(), "{}", told(&output));
    // What stands behind a # can be used too.
    let all: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .filter(|line| !line.starts_with("creds =") && !line.starts_with("tenant ="))
        .collect();
    let config = write(&creds, &all.join("\n"));
    let output = check(&config, &[], &secrets);
    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn every_mistake_in_the_file_is_told_at_once_with_its_place_and_remedy() {
    let creds = Creds::issue();
    let config = write(
        &creds,
        "[broker]\nurl = 4222\nurll = \"tls://a:4222\"\n[heartbeat]\ninterval_ms = 5\n\
         [labels]\nSite = \"x\"\nrack = 7\n[collectors.cpu]\nenabled = \"yes\"\ninterval_ms = 1\n\
         [collectors.processes]\nenabled = true\n[collectors.custom.queue]\nprogram = \"queue\"\n",
    );
    let variables = [("NATS_CREDS", creds.path.to_str().unwrap()), ("WEGWEISER_TENANT", TENANT)];
    let output = check(&config, &["--set", "metrics.interval_ms=1"], &variables);
    assert_eq!(output.status.code(), Some(64));
    let told = told(&output);
    let at = format!(" in {}", config.display());
    for words in [
        format!("broker.url{at}: is 4222; give a text in quotes"),
        format!("broker.urll{at}: is no key of ours"),
        format!("heartbeat.interval_ms{at}: is \"5\"; give milliseconds from 1000"),
        format!("labels.Site{at}: label key \"Site\": give 1 to 63 characters"),
        format!("labels.rack{at}: is 7; give a text in quotes"),
        format!("collectors.cpu.enabled{at}: is \"yes\"; give true or false"),
        format!("collectors.cpu.interval_ms{at}: is 1; give whole milliseconds from 250"),
        "collectors.processes.names: name at least one".to_owned(),
        format!("collectors.custom.queue.program{at}: is no absolute path"),
        "--set metrics.interval_ms: is \"1\"; give milliseconds from 250".to_owned(),
    ] {
        assert!(told.contains(&words), "{words:?} is not in:\n{told}");
    }
    assert!(told.contains("10 setting(s)"), "{told}");
}

#[test]
fn flags_stand_above_variables_and_those_above_the_file() {
    let creds = Creds::issue();
    let config = write(&creds, "[heartbeat]\ninterval_ms = 1\n");
    let secrets = [("NATS_CREDS", creds.path.to_str().unwrap()), ("WEGWEISER_TENANT", TENANT)];
    assert!(told(&check(&config, &[], &secrets)).contains("heartbeat.interval_ms in "));
    let [creds, tenant] = secrets;
    let variables = [creds, tenant, ("WEGWEISER_HEARTBEAT_INTERVAL_MS", "2")];
    let of_variable = told(&check(&config, &[], &variables));
    assert!(of_variable.contains("WEGWEISER_HEARTBEAT_INTERVAL_MS: is \"2\""), "{of_variable}");
    let fine = check(&config, &["--set", "heartbeat.interval_ms=3000"], &variables);
    assert!(fine.status.success(), "{}", told(&fine));
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_named() {
    let creds = Creds::issue();
    let missing = check(&creds.path.with_file_name("none.toml"), &[], &[]);
    assert_eq!(missing.status.code(), Some(64));
    assert!(told(&missing).contains("none.toml: cannot be read"), "{}", told(&missing));
    let broken = check(&write(&creds, "[broker\n"), &[], &[]);
    assert_eq!(broken.status.code(), Some(64));
    assert!(told(&broken).contains("agent.toml: is no TOML"), "{}", told(&broken));
}

fn configured(url: &str, creds: &Creds, rest: &str) -> String {
    format!(
        "[broker]\nurl = \"{url}\"\ncreds = \"{}\"\n[device]\ntenant = \"{TENANT}\"\n\
         [log]\nformat = \"json\"\n[heartbeat]\ninterval_ms = 1000\n\
         [metrics]\ninterval_ms = 250\n[spool]\ndir = \"{}\"\n{rest}",
        creds.path.display(),
        creds.path.with_file_name("spool").display()
    )
}

async fn until_metrics(metrics: &mut Events, wanted: &[&str]) {
    let missing = |seen: &BTreeSet<String>| {
        wanted.iter().find(|name| !seen.contains(**name)).copied().map(str::to_owned)
    };
    let what = format!("{wanted:?}");
    let names = |seen: &[(broker::Delivery, Event)]| -> BTreeSet<String> {
        seen.iter()
            .filter_map(|(_, event)| match event {
                Event::Metric(point) => Some(point.metric.as_str().to_owned()),
                _ => None,
            })
            .collect()
    };
    metrics.until(&what, |seen| missing(&names(seen)).is_none()).await;
}

async fn until_heartbeat(
    beats: &mut Events,
    what: &str,
    is: impl Fn(&Heartbeat) -> bool,
) -> Heartbeat {
    let found = |event: &Event| matches!(event, Event::Heartbeat(beat) if is(beat));
    let seen = beats.until(what, |seen| seen.iter().any(|(_, event)| found(event))).await;
    let beat = seen.iter().rev().find_map(|(_, event)| match event {
        Event::Heartbeat(beat) if is(beat) => Some(beat.clone()),
        _ => None,
    });
    beat.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_followed_without_losing_the_connection() {
    let nats = server();
    let operator = Operator::connect(&nats).await;
    operator.apply_streams().await;
    let creds = Creds::issue();
    let first = "[labels]\nsite = \"cologne\"\n[collectors.disk]\nenabled = false\n";
    let config = write(&creds, &configured(nats.url(), &creds, first));
    let agent = Agent::start_configured(&config);
    let mut beats = operator.pull("HEARTBEATS", "connectivity").await;
    let mut metrics = operator.pull("METRICS", "rings").await;
    let has = |wanted: &'static str| {
        move |beat: &Heartbeat| beat.labels.iter().any(|label| label == ("site", wanted))
    };
    let first = until_heartbeat(&mut beats, "the first label", has("cologne")).await;
    until_metrics(&mut metrics, &["cpu_percent"]).await;

    // A mistake changes nothing.
    write(&creds, &configured(nats.url(), &creds, "[labels]\nSite = \"x\"\n"));
    agent.signal("-HUP");
    agent.until_logged("is not used");

    let second = "[labels]\nsite = \"bonn\"\n[collectors.disk]\ninterval_ms = 300\n\
                  [collectors.load]\nenabled = true\ninterval_ms = 250\n\
                  [collectors.custom.answer]\nprogram = \"/bin/sh\"\ninterval_ms = 250\n\
                  args = [\"-c\", \"echo '{\\\"is\\\": 42}'\"]\n";
    let elsewhere = configured("nats://127.0.0.1:1", &creds, second);
    write(&creds, &elsewhere);
    agent.signal("-HUP");
    let later = until_heartbeat(&mut beats, "the second label", has("bonn")).await;
    assert_eq!(first.session, later.session, "it is the same run of the agent");
    until_metrics(&mut metrics, &["disk_percent", "load_1", "custom_answer_is"]).await;
    agent.until_logged("a restart is needed for what changed in them");
    agent.until_logged("\"sections\":\"broker\"");
    // What the new file names is no broker: what comes now comes over the first connection.
    let again = format!("a heartbeat after {:?}", later.at);
    let newer = |beat: &Heartbeat| beat.at > later.at;
    let last = until_heartbeat(&mut beats, &again, newer).await;
    let details: serde_json::Value = serde_json::from_str(&last.details).unwrap();
    assert_eq!(details["status"]["reconnects"], 0, "the connection held: {details}");
    assert!(agent.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_collector_reports_and_one_that_hangs_delays_none() {
    let nats = server();
    let operator = Operator::connect(&nats).await;
    operator.apply_streams().await;
    let creds = Creds::issue();
    let on = ["cores", "load", "swap", "disk_io", "disks", "interfaces"]
        .map(|name| format!("[collectors.{name}]\nenabled = true\ninterval_ms = 250\n"))
        .concat();
    let listed = "[collectors.processes]\nenabled = true\ninterval_ms = 250\n\
                  names = [\"wegweiser-agent\"]\n\
                  [collectors.custom.slow]\nprogram = \"/bin/sleep\"\nargs = [\"600\"]\n\
                  timeout_ms = 60000\ninterval_ms = 250\n\
                  [collectors.custom.broken]\nprogram = \"/bin/false\"\ninterval_ms = 250\n";
    let config = write(&creds, &configured(nats.url(), &creds, &(on + listed)));
    let agent = Agent::start_configured(&config);
    let mut metrics = operator.pull("METRICS", "rings").await;
    let wanted = [
        "cpu_percent_core_0",
        "load_15",
        "swap_percent",
        "disk_read_bytes",
        "disk_percent_root",
        "network_bytes_in_eth0",
        "process_count_wegweiser_agent",
        "process_cpu_percent_wegweiser_agent",
    ];
    let interfaces = std::fs::read_to_string("/proc/net/dev").unwrap();
    let wanted = wanted
        .iter()
        .copied()
        .filter(|name| !name.ends_with("eth0") || interfaces.contains("eth0:"));
    until_metrics(&mut metrics, &wanted.collect::<Vec<_>>()).await;
    let points = |seen: &[(broker::Delivery, Event)], name: &str| {
        let of = |event: &Event| matches!(event, Event::Metric(p) if p.metric.as_str() == name);
        seen.iter().filter(|(_, event)| of(event)).count()
    };
    metrics.until("eight of cpu_percent", |seen| points(seen, "cpu_percent") >= 8).await;
    let trouble = |beat: &Heartbeat| {
        let details: serde_json::Value = serde_json::from_str(&beat.details).unwrap();
        let collectors = &details["status"]["collectors"];
        let error = |name: &str| collectors[name]["error"].as_str().unwrap_or_default().to_owned();
        error("custom.broken").contains("/bin/false failed: exit status: 1")
            && error("custom.slow").contains("not done within")
            && collectors["cpu"]["took_ms"].is_f64()
            && error("cpu").is_empty()
    };
    let mut beats = operator.pull("HEARTBEATS", "connectivity").await;
    until_heartbeat(&mut beats, "both troubles named, and no other", trouble).await;
    assert!(agent.terminate().success());
}
