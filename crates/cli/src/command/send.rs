//! `wegweiser command send`: an order to one device or many.
//!
//! Promises: a mistake in the order is told before anything is connected to. `agent.trust-keys`
//! without arguments brings the keys that sign now, and waits long for devices that are away.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use protocol::limits::{COMMAND_LIFE_MAX_MS, COMMAND_TIMEOUT_MAX_MS, COMMAND_TIMEOUT_MIN_MS};
use protocol::{CommandKind, Order};
use serde_json::{Map, Value};
use storage::{CommandTarget, WantedOrder};
use uuid::Uuid;

use super::desk::{self, Desk};
use super::rollout::{Plan, Rollout};
use super::selection::Selection;
use super::tell::Teller;
use crate::output::{self, TableFormat};
use crate::span::span;

/// Commands that are ordered in one statement.
const ORDERED_TOGETHER: usize = 500;
/// Longest excerpt of what was typed that an error repeats, in characters.
const ARGUMENTS_SHOWN_CHARS: usize = 100;
/// For how long a device that is away may still take a command.
const EXPIRES: Duration = Duration::from_secs(3_600);
/// The longest that any command waits.
const LIFE_MAX: Duration = Duration::from_millis(COMMAND_LIFE_MAX_MS.unsigned_abs());
/// Who misses new keys takes no command any more.
const KEYS_EXPIRE: Duration = LIFE_MAX;

#[derive(Debug, Args)]
pub(super) struct Send {
    /// What to do; see: wegweiser command kinds. agent.trust-keys needs no fields: it brings the keys
    /// that sign now.
    kind: String,
    /// With what: fields of the kind's arguments. A value that is JSON is taken as such, anything
    /// else as text.
    #[arg(value_name = "FIELD=VALUE")]
    fields: Vec<String>,
    /// The same as one JSON object.
    #[arg(long, value_name = "JSON", conflicts_with = "fields")]
    arguments: Option<String>,
    #[command(flatten)]
    selection: Selection,
    /// How long it may run, such as 30s; without it, as long as is usual for its kind.
    #[arg(long, value_name = "SPAN", value_parser = timeout, allow_hyphen_values = true)]
    timeout: Option<Duration>,
    /// For how long a device that is away may still take it, up to 7d; without it 1h,
    /// agent.trust-keys 7d.
    #[arg(long, value_name = "SPAN", value_parser = life, allow_hyphen_values = true)]
    expires: Option<Duration>,
    /// Wait until every command has ended, and tell what came of each as it does.
    #[arg(long)]
    wait: bool,
    /// Have so many commands on their way at most, and send the next as one ends; waits.
    #[arg(long, value_name = "COMMANDS", value_parser = clap::value_parser!(u32).range(1..))]
    at_a_time: Option<u32>,
    /// Stop sending once more than so many percent of those that ended did not succeed; asks for
    /// --at-a-time.
    #[arg(long, value_name = "PERCENT", requires = "at_a_time",
          value_parser = clap::value_parser!(u32).range(0..=100))]
    stop_at: Option<u32>,
    /// A table for people, or a line of JSON for each command that ended and one for all.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

pub(super) async fn run(command: &Send) -> anyhow::Result<ExitCode> {
    let order = command.order()?;
    let brings_keys = order.kind() == CommandKind::TrustKeys;
    let mut desk = Desk::open().await?;
    let mut targets = command.selection.targets(&desk.records).await?;
    if brings_keys {
        leave_out_first_generation(&mut targets)?;
    }
    let usual = if brings_keys { KEYS_EXPIRE } else { EXPIRES };
    let wanted = WantedOrder {
        order,
        timeout: command.timeout,
        life: command.expires.unwrap_or(usual),
        requester: desk.who.clone(),
    };
    let batch = Uuid::now_v7();
    if !command.wait && command.at_a_time.is_none() {
        for some in targets.chunks(ORDERED_TOGETHER) {
            for ordered in desk.order(batch, &wanted, some).await? {
                output::text(&ordered.command.to_string())?;
            }
        }
        output::note(&format!(
            "{} sent; see: wegweiser command list --batch {batch}",
            targets.len()
        ));
        return Ok(ExitCode::SUCCESS);
    }
    desk.listen().await?;
    let at_a_time = command.at_a_time.map_or(Ok(targets.len()), usize::try_from)?;
    let plan = Plan { batch, wanted, at_a_time, stop_at_percent: command.stop_at };
    let teller = Teller::new(command.output, targets.len());
    Rollout::new(plan, targets, teller).run(&mut desk).await
}

fn life(text: &str) -> Result<Duration, String> {
    let life = span(text)?;
    if life > LIFE_MAX {
        return Err(format!("{text} is longer than a command may wait; give up to 7d"));
    }
    Ok(life)
}

fn timeout(text: &str) -> Result<Duration, String> {
    let may = Duration::from_millis(COMMAND_TIMEOUT_MIN_MS)
        ..=Duration::from_millis(COMMAND_TIMEOUT_MAX_MS);
    let timeout = span(text)?;
    if !may.contains(&timeout) {
        return Err(format!("{text} is not how long a command may run; give 100ms to 1h"));
    }
    Ok(timeout)
}

/// They check no signature, and know no keys.
fn leave_out_first_generation(targets: &mut Vec<CommandTarget>) -> anyhow::Result<()> {
    let all = targets.len();
    targets.retain(|target| !target.first_generation);
    if targets.is_empty() {
        bail!("all of these devices are of the first generation, which checks no signature");
    }
    if targets.len() < all {
        let left_out = all - targets.len();
        output::note(&format!("{left_out} of the first generation are left out"));
    }
    Ok(())
}

impl Send {
    fn order(&self) -> anyhow::Result<Order> {
        let mut given = self.given()?;
        let nothing_given = given.as_object().is_some_and(Map::is_empty);
        if self.kind == CommandKind::TrustKeys.name() && nothing_given {
            given = serde_json::to_value(desk::signer()?.trust())?;
        }
        Ok(Order::parse(&self.kind, &given)?)
    }

    /// The arguments as they were typed.
    fn given(&self) -> anyhow::Result<Value> {
        if let Some(text) = &self.arguments {
            return serde_json::from_str(text).with_context(|| {
                let shown: String = text.chars().take(ARGUMENTS_SHOWN_CHARS).collect();
                format!("--arguments {shown:?} is no JSON; give an object such as {{\"limit\":5}}")
            });
        }
        let mut given = Map::new();
        for field in &self.fields {
            let Some((name, text)) = field.split_once('=') else {
                bail!("{field:?} is no argument; give FIELD=VALUE");
            };
            let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
            if given.insert(name.to_owned(), value).is_some() {
                bail!("argument {name} stands more than once; give a list as JSON");
            }
        }
        Ok(Value::Object(given))
    }
}
