//! The verbs, one file each.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::accounts::AccountsCommand;
use crate::accounts::command_key::CommandKeyCommand;
use crate::api_token::ApiTokenCommand;
use crate::api_token::user::UserCommand;
use crate::arrived::ArrivedCommand;
use crate::audit::AuditCommand;
use crate::command::CommandCommand;
use crate::database_sign_in::DatabaseSignInCommand;
use crate::device::DeviceCommand;
use crate::device::enroll_token::EnrollTokenCommand;
use crate::devices::DevicesCommand;
use crate::dlq::DlqCommand;
use crate::doctor::DoctorCommand;
use crate::fleet::FleetCommand;
use crate::ledger::LedgerCommand;
use crate::metrics::MetricsCommand;
use crate::migrate::MigrateCommand;
use crate::rebuild::RebuildCommand;
use crate::status::StatusCommand;
use crate::streams::StreamsCommand;
use crate::tenant::TenantCommand;
use crate::top::TopCommand;
use crate::{environment, output};

/// Runs a Wegweiser installation. Connections come from the environment: see `--settings`.
#[derive(Debug, Parser)]
#[command(name = "wegweiser", version, arg_required_else_help = true)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    /// Print every setting with default and unit, as a markdown table.
    #[arg(long)]
    settings: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make the broker's accounts what their files say.
    Accounts(AccountsCommand),
    /// Make, list and revoke tokens of the HTTP API.
    ApiToken(ApiTokenCommand),
    /// Check that points and heartbeats of devices were stored, by reading them back.
    Arrived(ArrivedCommand),
    /// Make a sign-in at Postgres for a program, or give one a new password.
    DatabaseSignIn(DatabaseSignInCommand),
    /// Show who changed what, when, and what came of it.
    Audit(AuditCommand),
    /// Send commands to devices, and see what comes of them.
    Command(CommandCommand),
    /// Show or rotate the keys that sign commands.
    CommandKey(CommandKeyCommand),
    /// Register devices, issue, replace and revoke their credentials; label them.
    Device(DeviceCommand),
    /// List devices and whether they are online.
    Devices(DevicesCommand),
    /// Look at dead letters, send them again, discard them.
    Dlq(DlqCommand),
    /// Check every part of the installation, with remedies.
    Doctor(DoctorCommand),
    /// Make, list and revoke tokens that admit devices.
    EnrollToken(EnrollTokenCommand),
    /// Simulate devices that report as the agent does.
    Fleet(FleetCommand),
    /// Show what devices sent, what is stored, and what is missing.
    Ledger(LedgerCommand),
    /// Read the newest points of a metric.
    Metrics(MetricsCommand),
    /// Bring the database's schema up to date.
    Migrate(MigrateCommand),
    /// Rebuild records from a stream beside the real ones, and show the difference.
    Rebuild(RebuildCommand),
    /// Print every setting with default and unit, as a markdown table.
    Settings,
    /// Show messages in, lag, dead letters and devices online, once or as it goes.
    Status(StatusCommand),
    /// Make the broker's streams what their files say.
    Streams(StreamsCommand),
    /// Add, suspend, resume and remove tenants on the running installation.
    Tenant(TenantCommand),
    /// Show streams, consumers, receivers and sinks on one screen, as they go.
    Top(TopCommand),
    /// Make, list and remove people who sign in at the web service.
    User(UserCommand),
}

/// Runs what was asked for.
///
/// # Errors
/// Whatever the verb cannot do.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let verb = arguments.verb.unwrap_or(Verb::Settings);
    let telemetry = environment::telemetry()?;
    let ended = answer(verb).await;
    if let Some(telemetry) = telemetry {
        telemetry.finish().await;
    }
    ended
}

async fn answer(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Accounts(command) => crate::accounts::run(command).await,
        Verb::ApiToken(command) => crate::api_token::run(command).await,
        Verb::Arrived(command) => crate::arrived::run(&command).await,
        Verb::DatabaseSignIn(command) => crate::database_sign_in::run(&command).await,
        Verb::Audit(command) => crate::audit::run(&command).await,
        Verb::Command(command) => crate::command::run(command).await,
        Verb::CommandKey(command) => crate::accounts::command_key::run(&command),
        Verb::Device(command) => crate::device::run(command).await,
        Verb::Devices(command) => crate::devices::run(command).await,
        Verb::Dlq(command) => crate::dlq::run(command).await,
        Verb::Doctor(command) => crate::doctor::run(command).await,
        Verb::EnrollToken(command) => crate::device::enroll_token::run(command).await,
        Verb::Fleet(command) => crate::fleet::run(command).await,
        Verb::Ledger(command) => crate::ledger::run(&command).await,
        Verb::Metrics(command) => crate::metrics::run(command).await,
        Verb::Migrate(command) => crate::migrate::run(command).await,
        Verb::Rebuild(command) => crate::rebuild::run(&command).await,
        Verb::Settings => {
            output::text(&environment::settings_table())?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Status(command) => crate::status::run(&command).await,
        Verb::Streams(command) => crate::streams::run(command, &environment::broker().await?).await,
        Verb::Tenant(command) => crate::tenant::run(command).await,
        Verb::Top(command) => crate::top::run(&command).await,
        Verb::User(command) => crate::api_token::user::run(command).await,
    }
}
