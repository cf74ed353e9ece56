//! `wegweiser-agent status`: how the agent of this machine fares, also while the broker is away.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use protocol::{CommandReport, DropReasons, KindCounts, UnixMillis};
use serde_json::json;

use crate::condition::Report;
use crate::config::{Overrides, status_path};
use crate::status_file::{self, Told, WRITE_EVERY};
use crate::{print, service};

/// No agent runs.
const NOT_RUNNING: u8 = 1;
/// It runs, and something is wrong.
const TROUBLED: u8 = 2;
/// Nobody can say.
const UNKNOWN: u8 = 3;
/// One that has not written for so long is stuck.
const STUCK_AFTER: Duration = WRITE_EVERY.saturating_mul(4);

/// Says how the agent of this machine fares.
#[derive(Debug, Args)]
pub(super) struct StatusCommand {
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// 0: all is well; 1: no agent runs; 2: something is wrong; 3: that cannot be told.
///
/// # Errors
/// The configuration cannot be used, or nothing be printed.
pub(super) fn run(command: &StatusCommand, overrides: &Overrides) -> anyhow::Result<ExitCode> {
    let told = match status_file::read(&status_path(overrides)?) {
        Ok(told) => told,
        Err(error) => {
            print::complain(&format!("wegweiser-agent: {error:#}"));
            return Ok(ExitCode::from(UNKNOWN));
        }
    };
    let service = service::state().unwrap_or_else(|error| {
        // What systemd complains of has several lines; the first says it.
        let text = format!("{error:#}");
        format!("unknown: {}", text.lines().next().unwrap_or_default())
    });
    let (report, state) = match &told {
        Told::NotRunning(report) => (report.as_deref(), State::NotRunning),
        Told::Running(report) => (Some(&**report), State::of(report)),
    };
    let text = match command.output {
        Output::Json => {
            json!({"state": state.word(), "service": service, "agent": report}).to_string()
        }
        Output::Text => text(state, &service, report),
    };
    print::answer(&text)?;
    Ok(ExitCode::from(state.code()))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Healthy,
    NotRunning,
    Troubled,
    /// It runs and says nothing.
    Stuck,
}

impl State {
    fn of(report: &Report) -> Self {
        let silent_ms = UnixMillis::now().since(report.written_ms);
        if u128::try_from(silent_ms).is_ok_and(|silent| silent > STUCK_AFTER.as_millis()) {
            return Self::Stuck;
        }
        if report.troubles.is_empty() { Self::Healthy } else { Self::Troubled }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::NotRunning => "not_running",
            Self::Troubled => "troubled",
            Self::Stuck => "stuck",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::NotRunning => NOT_RUNNING,
            Self::Troubled | Self::Stuck => TROUBLED,
        }
    }
}

fn text(state: State, service: &str, report: Option<&Report>) -> String {
    let mut text = format!("service      {service}\n");
    let mut line = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<12} {value}");
    };
    let now = UnixMillis::now();
    match (state, report) {
        (State::Healthy, _) => line("agent", "runs, and all is well"),
        (State::Troubled, _) => line("agent", "runs, and something is wrong"),
        (State::Stuck, Some(report)) => {
            let silent = span(now.since(report.written_ms));
            line("agent", &format!("hangs: it has said nothing for {silent}; restart it"));
        }
        (_, Some(report)) => {
            let at = span(now.since(report.written_ms));
            line("agent", &format!("does not run; what follows is what it said {at} ago"));
        }
        (_, None) => line("agent", "does not run"),
    }
    let Some(report) = report else { return text };
    for trouble in &report.troubles {
        line("trouble", &trouble.what);
        line("  remedy", &trouble.remedy);
    }
    let since = span(now.since(report.link_since_ms));
    let stands = if report.status.connected { "connected" } else { "not connected" };
    line("broker", &format!("{stands} for {since}, {} reconnections", report.status.reconnects));
    describe(report, now, line);
    text
}

fn describe(report: &Report, now: UnixMillis, mut line: impl FnMut(&str, &str)) {
    let status = &report.status;
    line("version", &report.agent_version);
    line("device", &format!("{} of tenant {}", report.device, report.tenant));
    let uptime = span(i64::try_from(status.uptime).unwrap_or_default() * 1_000);
    line("session", &format!("{}, process {}, for {uptime}", report.session, report.pid));
    line("sent", &counts(&status.sent));
    line("waiting", &counts(&status.spooled));
    if status.spooled_bytes > 0 {
        line("spool", &format!("{} bytes on disk", status.spooled_bytes));
    }
    let dropped = &status.dropped;
    for (kind, reasons) in [
        ("metric", &dropped.metric),
        ("heartbeat", &dropped.heartbeat),
        ("monitoring", &dropped.monitoring),
        ("response", &dropped.response),
    ] {
        if !reasons.is_zero() {
            line("dropped", &format!("{kind}: {}", dropped_text(reasons)));
        }
    }
    if let Some(error) = &status.last_error {
        line("last error", error);
    }
    if let Some(offset) = status.clock_offset_ms {
        line("clock", &format!("{offset:+} ms against the broker's"));
    }
    if let Some(end) = report.credentials_expire_ms {
        line("credentials", &format!("end in {}", span(end.since(now))));
    }
    match &report.commands_refused {
        Some(why) => line("commands", why),
        None => line("commands", &commands(&status.commands)),
    }
    for (key, value) in &report.labels {
        line("label", &format!("{key}={value}"));
    }
    for (name, collector) in &status.collectors {
        let took = collector.took_ms.map_or("not done yet".to_owned(), |ms| format!("{ms} ms"));
        let error = collector.error.as_ref().map_or(String::new(), |error| format!("; {error}"));
        line("collector", &format!("{name}: {took}{error}"));
    }
}

fn commands(report: &CommandReport) -> String {
    let CommandReport { waiting, running, ended, refused } = report;
    let sum = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
    let (ended, refused) = (sum(ended), sum(refused));
    format!("taken; {running} running, {waiting} waiting, {ended} ended, {refused} refused")
}

fn counts(counts: &KindCounts) -> String {
    let KindCounts { metric, heartbeat, monitoring, response } = counts;
    format!("{metric} metric, {heartbeat} heartbeat, {monitoring} monitoring, {response} response")
}

fn dropped_text(reasons: &DropReasons) -> String {
    let DropReasons { expired, overflow, too_large, damaged } = reasons;
    format!("{expired} expired, {overflow} overflow, {too_large} too large, {damaged} damaged")
}

/// A span in its two largest units.
fn span(milliseconds: i64) -> String {
    let seconds = milliseconds.max(0) / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}
