//! `wegweiser enroll-token create`, `list` and `revoke`: what admits devices.
//!
//! Promises: a token is shown once, when it is made; only its hash is kept. Devices that were
//! enrolled with a revoked token stay.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use broker::accounts::{AccountsSettings, Declared};
use clap::{Args, Subcommand};
use protocol::{TenantId, UnixMillis};
use serde_json::json;
use storage::{EnrollToken, EnrollTokenRow, NewEnrollToken, Records, RegistryError};
use uuid::Uuid;

use crate::output::{Format, Table, TableFormat};
use crate::span::span;
use crate::who::who;
use crate::{clock, environment, output};

/// Most devices that one token may admit.
const USES_MAX: u32 = 100_000;
/// Tokens in a list.
const LIST_MAX: u32 = 1_000;

/// Admits devices by tokens.
#[derive(Debug, Args)]
pub(crate) struct EnrollTokenCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a token and show it, this once.
    Create(Create),
    /// List tokens: whose, how many uses are left, until when. The tokens themselves are not kept.
    List(List),
    /// Revoke a token at once and for good.
    Revoke(Revoke),
}

#[derive(Debug, Args)]
struct Create {
    /// Whose devices it admits (UUID).
    #[arg(long)]
    tenant: TenantId,
    /// How many devices it admits.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(USES_MAX)))]
    uses: u32,
    /// How long it is good: such as 30m, 8h or 2d.
    #[arg(long, default_value = "1h", value_parser = span)]
    expires: Duration,
    /// Text for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, Args)]
struct List {
    /// Of this tenant only (UUID).
    #[arg(long)]
    tenant: Option<TenantId>,
    /// A table for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

#[derive(Debug, Args)]
struct Revoke {
    /// The token's id, as `list` shows it; not the token.
    id: Uuid,
}

pub(crate) async fn run(command: EnrollTokenCommand) -> anyhow::Result<ExitCode> {
    match command.verb {
        Verb::Create(create) => run_create(&create).await,
        Verb::List(list) => run_list(&list).await,
        Verb::Revoke(revoke) => run_revoke(&revoke).await,
    }
}

async fn run_create(create: &Create) -> anyhow::Result<ExitCode> {
    let records = environment::records()?;
    let token = EnrollToken::generate();
    let lifetime_ms = i64::try_from(create.expires.as_millis()).unwrap_or(i64::MAX);
    let expires_at = UnixMillis::new(UnixMillis::now().get().saturating_add(lifetime_ms));
    let who = who()?;
    let wanted = NewEnrollToken { tenant: create.tenant, uses: create.uses, expires_at, who: &who };
    let made = match records.create_enroll_token(&token, wanted).await {
        Err(RegistryError::UnknownTenant(tenant)) => {
            register_declared(&records, tenant).await?;
            records.create_enroll_token(&token, wanted).await
        }
        made => made,
    };
    let id = made.context("making the token")?;
    let (uses, token) = (create.uses, token.expose());
    match create.output {
        Format::Text => {
            output::text(token)?;
            let until = clock::exact(expires_at);
            output::note(&format!(
                "token {id}: {uses} use(s) until {until}; it is not shown again"
            ));
        }
        Format::Json => output::json(&json!({
            "id": id, "token": token, "tenant": create.tenant, "uses": uses, "expires_at": expires_at
        }))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A tenant that is declared by its file alone gets its row when it is first needed.
async fn register_declared(records: &Records, tenant: TenantId) -> anyhow::Result<()> {
    let settings = environment::read(AccountsSettings::read)?;
    let declared = Declared::load(&settings.accounts, &settings.tenants)
        .context("reading the account files")?;
    let Some(found) = declared.tenant(tenant) else {
        return Err(RegistryError::UnknownTenant(tenant)).context("making the token");
    };
    Ok(records.ensure_tenant(tenant, &found.name).await?)
}

async fn run_list(list: &List) -> anyhow::Result<ExitCode> {
    let tokens = environment::records()?.enroll_tokens(list.tenant, LIST_MAX).await?;
    match list.output {
        TableFormat::Json => output::json(&tokens)?,
        TableFormat::Table => output::text(&table(&tokens))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(tokens: &[EnrollTokenRow]) -> String {
    let mut table = Table::new(&["ID", "TENANT", "LEFT", "STATE", "EXPIRES", "MADE BY"]);
    let now = UnixMillis::now();
    for token in tokens {
        let state = if token.revoked_at.is_some() {
            "revoked"
        } else if token.expires_at <= now {
            "over"
        } else if token.uses_left == 0 {
            "used up"
        } else {
            "good"
        };
        table.row(vec![
            token.id.to_string(),
            token.tenant.to_string(),
            format!("{} of {}", token.uses_left, token.uses),
            state.to_owned(),
            clock::exact(token.expires_at),
            token.created_by.clone(),
        ]);
    }
    table.render()
}

async fn run_revoke(revoke: &Revoke) -> anyhow::Result<ExitCode> {
    let id = revoke.id;
    match environment::records()?.revoke_enroll_token(id, &who()?).await? {
        Some(true) => output::text(&format!("revoked {id}"))?,
        Some(false) => output::text(&format!("{id} was revoked before"))?,
        None => bail!("there is no enrolment token {id}; run: wegweiser enroll-token list"),
    }
    Ok(ExitCode::SUCCESS)
}
