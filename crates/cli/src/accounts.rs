//! `wegweiser accounts plan|apply|bootstrap`: accounts as code.
//!
//! Promises: exit code 0 when files and server agree, 2 when they differ, 1 on an error. Refuses:
//! to change anything but by `apply`, and to cut anybody off unless told. What was applied is noted
//! in the registry, where that is there.

mod bootstrap;
pub(crate) mod command_key;
pub(crate) mod issuing;
pub(crate) mod registry;

use std::process::ExitCode;

use anyhow::Context as _;
use broker::accounts::{AccountServer, AccountsError, AccountsSettings, Declared, apply, plan};
use broker::plan::Plan;
use broker::streams::Destructive;
use clap::{Args, Subcommand};
use identity::KeyDir;

use crate::environment;
use crate::output::{self, Format};

/// Exit code for "files and server differ".
const DIFFERENT: u8 = 2;

/// Compares the account files with the broker, or makes the broker follow them.
#[derive(Debug, Args)]
pub(crate) struct AccountsCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show what `apply` would change, field by field; exits 2 when there is something.
    Plan {
        /// Text for people or JSON for programs.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        output: Format,
    },
    /// Make the broker's accounts what the files say; refuses what would cut somebody off.
    Apply {
        /// Make changes that cut somebody off, too: look at `plan` first, it says whom.
        #[arg(long)]
        allow_destructive: bool,
        /// Text for people or JSON for programs.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        output: Format,
    },
    /// Make the operator's keys and what a first server starts with; may be repeated.
    Bootstrap(bootstrap::Bootstrap),
}

/// What `plan` and `apply` work with.
struct Opened {
    settings: AccountsSettings,
    declared: Declared,
    keys: KeyDir,
    server: AccountServer,
}

pub(crate) async fn run(command: AccountsCommand) -> anyhow::Result<ExitCode> {
    match command.verb {
        Verb::Plan { output } => run_plan(output).await,
        Verb::Apply { allow_destructive, output } => run_apply(allow_destructive, output).await,
        Verb::Bootstrap(bootstrap) => bootstrap::run(&bootstrap),
    }
}

async fn open() -> anyhow::Result<Opened> {
    let (accounts, broker) = environment::read(|reader| {
        (AccountsSettings::read(reader), environment::broker_settings(reader))
    })?;
    let declared = Declared::load(&accounts.accounts, &accounts.tenants)
        .context("reading the account files")?;
    let keys = environment::keys(&accounts.keys)?;
    let server = AccountServer::open(&broker.url, &broker.tls, &keys)
        .await
        .context("connecting to the broker's system account")?;
    Ok(Opened { settings: accounts, declared, keys, server })
}

async fn run_plan(output: Format) -> anyhow::Result<ExitCode> {
    let Opened { declared, keys, server, .. } = open().await?;
    let plan = plan(&server, &declared, &keys).await.context("planning the accounts")?;
    show(&plan, output)?;
    Ok(if plan.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

async fn run_apply(allow_destructive: bool, output: Format) -> anyhow::Result<ExitCode> {
    let Opened { settings, declared, keys, server } = open().await?;
    let destructive = if allow_destructive { Destructive::Allow } else { Destructive::Refuse };
    match apply(&server, &declared, &keys, destructive).await {
        Ok(applied) => {
            issuing::keep(&settings, &declared, &keys)?;
            tell_registry(&declared).await;
            show(&applied.plan, output)?;
            if output == Format::Text && !applied.plan.is_empty() {
                let (pushed, deleted) = (applied.pushed, applied.deleted);
                output::text(&format!("applied: {pushed} pushed, {deleted} deleted"))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(AccountsError::Destructive(plan)) => {
            show(&plan, output)?;
            Err(AccountsError::Destructive(plan)).context("allow it with --allow-destructive")
        }
        Err(error) => Err(error).context("applying the accounts"),
    }
}

/// The accounts are applied whether or not Postgres is there, as in a first installation.
async fn tell_registry(declared: &Declared) {
    let told = async {
        let records = environment::records()?;
        registry::note(&records, declared.tenants().iter()).await.map_err(anyhow::Error::from)
    };
    if let Err(error) = told.await {
        output::note(&format!(
            "the registry was not told of the tenants and their limits, which the page shows: \
             {error:#}; run once more when Postgres is there: wegweiser accounts apply"
        ));
    }
}

fn show(plan: &Plan, output: Format) -> anyhow::Result<()> {
    match output {
        Format::Text => Ok(output::text(&plan.to_string())?),
        Format::Json => output::json(plan),
    }
}
