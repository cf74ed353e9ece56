//! `wegweiser ledger`: per device and stream what was sent, where it is, and what is missing.
//!
//! Promises: exit 0 when nothing is missing, 2 when something is, which is then named by its
//! numbers; what is still on its way is not called missing. Refuses: to tell of devices that do not
//! number their messages; there is nothing to count them by.

mod balance;
mod gather;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use protocol::{DeviceId, SessionId, TenantId, UnixMillis};
use serde::Serialize;

use self::balance::Balance;
use self::gather::{Accounts, Books, Whose};
use crate::dlq::time;
use crate::environment::{self, INBOUND};
use crate::output::{self, Colour, Table, TableFormat, coloured};

const EXIT_MISSING: u8 = 2;
/// Ranges that are named of a session; of the rest the number is told.
const RANGES_NAMED: usize = 5;
/// Sessions that are named in text; JSON has all.
const SESSIONS_NAMED: usize = 20;

/// Shows what devices sent, where it is, and what is missing.
#[derive(Args, Debug)]
pub(crate) struct LedgerCommand {
    /// Only of this tenant (UUID).
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Only of this device (UUID).
    #[arg(long)]
    device: Option<DeviceId>,
    /// Only runs of agents that began since: RFC 3339, or an age such as 90s, 30m, 2h, 7d.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<UnixMillis>,
    /// Only the sums and what is missing, without a line a device.
    #[arg(long)]
    totals: bool,
    /// A table for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

#[derive(Serialize)]
struct Line {
    tenant: TenantId,
    device: DeviceId,
    stream: &'static str,
    #[serde(flatten)]
    balance: Balance,
}

#[derive(Serialize)]
struct Total {
    stream: &'static str,
    #[serde(flatten)]
    balance: Balance,
}

/// A session of which something is missing, or of which that cannot be told.
#[derive(Serialize)]
struct Gap {
    tenant: TenantId,
    device: DeviceId,
    stream: &'static str,
    session: SessionId,
    missing: u64,
    /// Numbers that are neither stored nor parked; what is spooled or dropped is among them, too.
    numbers: Vec<(u64, u64)>,
    spooled: u64,
    dropped: u64,
    /// There were more gaps than are kept, so that nothing can be told.
    incomplete: bool,
}

#[derive(Default)]
struct Ledger {
    lines: BTreeMap<(TenantId, DeviceId), [Balance; INBOUND.len()]>,
    total: [Balance; INBOUND.len()],
    gaps: Vec<Gap>,
}

pub(crate) async fn run(command: &LedgerCommand) -> anyhow::Result<ExitCode> {
    let broker = environment::broker().await?;
    let (rings, _) = environment::rings()?;
    let LedgerCommand { tenant, device, since, .. } = *command;
    let whose = Whose { tenant, device, since };
    let mut books = Books::open(whose, &broker, &rings, environment::records()?).await?;
    let mut ledger = Ledger::default();
    while let Some(sessions) = books.next().await? {
        for (of, accounts) in &sessions {
            ledger.add(of, accounts, command.totals);
        }
    }
    let missing: u64 = ledger.total.iter().map(|total| total.missing).sum();
    match command.output {
        TableFormat::Json => output::json(&json(&ledger, missing))?,
        TableFormat::Table => output::text(&text(&ledger, missing))?,
    }
    Ok(if missing == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_MISSING) })
}

impl Ledger {
    fn add(&mut self, of: &storage::DeviceSession, accounts: &Accounts, totals: bool) {
        for (place, (stream, _, _)) in INBOUND.iter().enumerate() {
            let (account, balance) = (&accounts[place], accounts[place].balance());
            self.total[place] += balance;
            if !totals {
                self.lines.entry((of.tenant, of.device)).or_default()[place] += balance;
            }
            if balance.missing > 0 || account.incomplete {
                self.gaps.push(Gap {
                    tenant: of.tenant,
                    device: of.device,
                    stream,
                    session: of.session,
                    missing: balance.missing,
                    numbers: account.gaps(),
                    spooled: account.spooled,
                    dropped: account.dropped,
                    incomplete: account.incomplete,
                });
            }
        }
    }
}

fn json(ledger: &Ledger, missing: u64) -> serde_json::Value {
    let mut lines = Vec::new();
    for ((tenant, device), balances) in &ledger.lines {
        for (balance, (stream, _, _)) in balances.iter().zip(INBOUND) {
            let (tenant, device, balance) = (*tenant, *device, *balance);
            lines.push(Line { tenant, device, stream, balance });
        }
    }
    let total = ledger.total.iter().zip(INBOUND);
    let total: Vec<Total> =
        total.map(|(balance, (stream, _, _))| Total { stream, balance: *balance }).collect();
    serde_json::json!({
        "devices": lines,
        "total": total,
        "gaps": ledger.gaps,
        "missing": missing,
    })
}

fn text(ledger: &Ledger, missing: u64) -> String {
    const COLUMNS: [&str; 7] =
        ["SENT", "STORED", "PARKED", "SPOOLED", "DROPPED", "UNDER WAY", "MISSING"];
    let mut parts = Vec::new();
    if !ledger.lines.is_empty() {
        let mut table = Table::new(&[&["TENANT", "DEVICE", "STREAM"][..], &COLUMNS].concat());
        for ((tenant, device), balances) in &ledger.lines {
            for (balance, (stream, _, _)) in balances.iter().zip(INBOUND) {
                let names = vec![tenant.to_string(), device.to_string(), stream.to_owned()];
                if balance.sent > 0 {
                    table.row([names, cells(balance)].concat());
                }
            }
        }
        parts.push(table.render());
    }
    let mut table = Table::new(&[&["ALL DEVICES"][..], &COLUMNS].concat());
    for (balance, (stream, _, _)) in ledger.total.iter().zip(INBOUND) {
        table.row([vec![stream.to_owned()], cells(balance)].concat());
    }
    parts.push(table.render());
    if !ledger.gaps.is_empty() {
        let named = ledger.gaps.iter().take(SESSIONS_NAMED).map(describe);
        let mut named: Vec<String> = named.collect();
        let more = ledger.gaps.len().saturating_sub(SESSIONS_NAMED);
        if more > 0 {
            named.push(format!("and in {more} more sessions; --output json names them"));
        }
        parts.push(named.join("\n"));
    }
    parts.push(match missing {
        0 => format!("{}: nothing is missing", coloured("balanced", Colour::Green)),
        1 => format!("{}: 1 message", coloured("missing", Colour::Red)),
        many => format!("{}: {many} messages", coloured("missing", Colour::Red)),
    });
    parts.join("\n\n")
}

fn cells(balance: &Balance) -> Vec<String> {
    let Balance { sent, stored, parked, spooled, dropped, under_way, missing } = *balance;
    let mut cells: Vec<String> =
        [sent, stored, parked, spooled, dropped, under_way].iter().map(u64::to_string).collect();
    cells.push(match missing {
        0 => "0".to_owned(),
        some => coloured(&some.to_string(), Colour::Red),
    });
    cells
}

fn describe(gap: &Gap) -> String {
    let Gap { tenant, device, stream, session, missing, .. } = gap;
    let place = format!("{stream} of device {device} of tenant {tenant}, session {session}");
    if gap.incomplete {
        return format!("{place}: more gaps than are kept; what is missing cannot be told");
    }
    let range = |(first, last): &(u64, u64)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    let mut ranges: Vec<String> = gap.numbers.iter().take(RANGES_NAMED).map(range).collect();
    let more = gap.numbers.len().saturating_sub(RANGES_NAMED);
    if more > 0 {
        ranges.push(format!("and {more} more ranges"));
    }
    let explained = match (gap.spooled, gap.dropped) {
        (0, 0) => String::new(),
        (spooled, dropped) => {
            format!(", among which are {spooled} spooled and {dropped} dropped by the device")
        }
    };
    format!("{place}: {missing} missing, numbers {}{explained}", ranges.join(", "))
}
