//! What deploy/observability promises: files that Prometheus takes, alerts that fire when they
//! should, figures that exist, and a real Prometheus that scrapes real programs with them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::world::{Prometheus, World, eventually_within, free_port, repository};

/// Prometheus starts, scrapes and evaluates beside other tests.
const PATIENCE: Duration = Duration::from_secs(90);

fn folder() -> PathBuf {
    repository().join("deploy/observability")
}

fn promtool(arguments: &[&str]) -> Result<String> {
    let output = Command::new(devstack::tools::prometheus()?.join("promtool"))
        .args(arguments)
        .current_dir(folder())
        .output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "promtool {}:\n{said}", arguments.join(" "));
    Ok(said)
}

#[test]
fn prometheus_takes_the_files_and_every_alert_fires_when_it_should() -> Result<()> {
    promtool(&["check", "config", "--lint-fatal", "prometheus.yml"])?;
    let tested = promtool(&["test", "rules", "alerts.test.yml"])?;
    assert!(tested.contains("SUCCESS"), "{tested}");
    let tests = fs::read_to_string(folder().join("alerts.test.yml"))?;
    for alert in alerts()? {
        let all = tests.matches(&format!("alertname: {alert}")).count();
        let quiet = tests.matches(&format!("alertname: {alert}, exp_alerts: []")).count();
        assert!(
            quiet >= 1 && all > quiet,
            "{alert}: {all} tests, {quiet} of them that it is quiet"
        );
    }
    Ok(())
}

fn alerts() -> Result<Vec<String>> {
    let rules = fs::read_to_string(folder().join("alerts.yml"))?;
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    Ok(names.map(str::to_owned).collect())
}

#[test]
fn every_alert_leads_to_a_section_of_the_runbook_that_names_it() -> Result<()> {
    let runbook = fs::read_to_string(repository().join("docs/runbook.md"))?;
    let anchors: BTreeSet<String> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| heading.to_lowercase().replace(' ', "-").replace(['`', ','], ""))
        .collect();
    let rules = fs::read_to_string(folder().join("alerts.yml"))?;
    let links: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("runbook_url: ")).collect();
    let alerts = alerts()?;
    assert_eq!(links.len(), alerts.len(), "an alert without its section");
    for link in links {
        let anchor = link.strip_prefix("docs/runbook.md#").context("a link into the runbook")?;
        assert!(anchors.contains(anchor), "{link} leads nowhere");
    }
    for alert in alerts {
        assert!(runbook.contains(&format!("`{alert}`")), "{alert} is not in the runbook");
    }
    Ok(())
}

/// Words of `text` that are names of our figures; a histogram's parts stand for the whole.
fn figures(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let names = text.split(|c| !word(c)).filter(|name| name.starts_with("wegweiser_"));
    let whole = |name: &str| {
        ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|part| name.strip_suffix(part))
            .unwrap_or(name)
            .to_owned()
    };
    names.map(whole).collect()
}

/// What the panels of every dashboard ask for: panel, and query as Prometheus gets it.
fn queries() -> Result<Vec<(String, String)>> {
    let mut queries = Vec::new();
    let mut dashboards = 0;
    for entry in fs::read_dir(folder().join("dashboards"))? {
        let path = entry?.path();
        let dashboard: Value = serde_json::from_slice(&fs::read(&path)?)?;
        dashboards += 1;
        for panel in dashboard["panels"].as_array().context("panels")? {
            let title = format!("{}, {}", path.display(), panel["title"]);
            let targets = panel["targets"].as_array().context(title.clone())?;
            ensure!(!targets.is_empty(), "{title} asks for nothing");
            for target in targets {
                let query = target["expr"].as_str().context(title.clone())?;
                // Chosen above the panels.
                let query = query.replace("$instance", ".*");
                ensure!(!query.contains('$'), "{title}: what is {query}?");
                queries.push((title.clone(), query));
            }
        }
    }
    assert_eq!(dashboards, 4, "pipeline, receivers, tenants, agents");
    Ok(queries)
}

#[test]
fn alerts_and_dashboards_use_figures_that_exist() -> Result<()> {
    let documented = figures(&fs::read_to_string(repository().join("docs/metrics.md"))?);
    let mut asked = queries()?;
    asked.push(("alerts.yml".to_owned(), fs::read_to_string(folder().join("alerts.yml"))?));
    for (place, text) in asked {
        let used = figures(&text);
        let unknown: Vec<_> = used.difference(&documented).collect();
        assert!(unknown.is_empty(), "{place}: {unknown:?}");
        assert!(!used.is_empty() || text.contains("up{job="), "{place}: {text}");
    }
    Ok(())
}

/// As it stands in a URL.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn a_real_prometheus_scrapes_a_receiver_and_evaluates_every_rule() -> Result<()> {
    let world = World::start().await?;
    let port = free_port()?;
    let listen = format!("127.0.0.1:{port}");
    let receiver = world.receiver(&[("WEGWEISER_RECEIVER_LISTEN", &listen)])?;
    receiver.logs("health listening").await?;
    let device = world.device(0).await?;
    device.publish(&device.subject("status.heartbeat"), "{}").await?;
    let prometheus = Prometheus::start(&listen, "1s")?;
    let scraped = "query?query=wegweiser_dead_letters_total";
    eventually_within(PATIENCE, "the first scrape", async || {
        let Some(answer) = prometheus.ask(scraped).await? else { return Ok(None) };
        Ok(answer["data"]["result"].get(0).map(|_| ()))
    })
    .await?;
    // Only a rise that Prometheus saw is one.
    device.publish(&device.subject("monitoring"), "not json").await?;

    eventually_within(PATIENCE, "the poison's alert, and a tenant's device", async || {
        let Some(alerts) = prometheus.ask("alerts").await? else { return Ok(None) };
        let Some(tenants) =
            prometheus.ask("query?query=max(wegweiser_tenant_devices_online)").await?
        else {
            return Ok(None);
        };
        let poison = alerts["data"]["alerts"].as_array().is_some_and(|alerts| {
            alerts.iter().any(|alert| alert["labels"]["alertname"] == "DeadLettersRising")
        });
        let online = tenants["data"]["result"][0]["value"][1] == "1";
        Ok((poison && online).then_some(()))
    })
    .await?;

    for (place, query) in queries()? {
        let path = format!("query?query={}", escaped(&query));
        let answer = prometheus.ask(&path).await?.context("an answer")?;
        assert_eq!(answer["status"], "success", "{place}: {query}: {answer}");
    }
    let rules = prometheus.ask("rules").await?.context("rules")?;
    let rules = rules["data"]["groups"][0]["rules"].as_array().context("rules")?.clone();
    assert_eq!(rules.len(), alerts()?.len());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    Ok(())
}
