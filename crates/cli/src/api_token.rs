//! `wegweiser api-token`: who may use the HTTP API.
//!
//! Promises: a token is shown once, when it is made, on standard output or in a file of mode 0600;
//! nobody can read it afterwards. Making and revoking are in the audit log.

mod first_link;
pub(crate) mod user;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use protocol::{TenantId, UnixMillis};
use serde_json::json;
use storage::{ApiRole, ApiToken, ApiTokenRow, NewApiToken, Scope};
use uuid::Uuid;

use crate::clock::exact;
use crate::output::{Colour, Table, TableFormat, coloured};
use crate::secret_file::write_new;
use crate::span::span;
use crate::who::who;
use crate::{environment, output};

/// Makes, lists and revokes tokens of the HTTP API.
#[derive(Debug, Args)]
pub(crate) struct ApiTokenCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a token; it is shown this once.
    Create(Create),
    /// List tokens; none can be read.
    List(List),
    /// Revoke a token at once and for good.
    Revoke(Revoke),
}

#[derive(Debug, Args)]
struct Create {
    /// Who will use it: the name that the audit log shows.
    #[arg(long)]
    name: String,
    #[command(flatten)]
    whose: Whose,
    /// What it may.
    #[arg(long, value_enum)]
    role: Role,
    /// How long it is good, such as 12h or 30d.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "30d")]
    expires: Duration,
    /// Write the token to this new file (mode 0600) instead of standard output.
    #[arg(long, value_name = "FILE")]
    token_out: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// The one tenant that it shows (UUID).
    #[arg(long)]
    tenant: Option<TenantId>,
    /// It shows every tenant.
    #[arg(long)]
    all_tenants: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Role {
    /// Reads.
    Viewer,
    /// Replays and discards dead letters too.
    Operator,
    /// Everything.
    Admin,
}

impl From<Role> for ApiRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => Self::Viewer,
            Role::Operator => Self::Operator,
            Role::Admin => Self::Admin,
        }
    }
}

#[derive(Debug, Args)]
struct List {
    /// Of this tenant only (UUID).
    #[arg(long)]
    tenant: Option<TenantId>,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

#[derive(Debug, Args)]
struct Revoke {
    /// Its id, as `list` shows it.
    id: Uuid,
}

pub(crate) async fn run(command: ApiTokenCommand) -> anyhow::Result<ExitCode> {
    match command.verb {
        Verb::Create(create) => run_create(&create).await,
        Verb::List(list) => run_list(&list).await,
        Verb::Revoke(revoke) => run_revoke(&revoke).await,
    }
}

async fn run_create(create: &Create) -> anyhow::Result<ExitCode> {
    let records = environment::records()?;
    let who = who()?;
    let token = ApiToken::generate();
    let lasts_ms = i64::try_from(create.expires.as_millis()).context("reading --expires")?;
    let expires_at = UnixMillis::new(UnixMillis::now().get() + lasts_ms);
    // The file first: a token that nobody could be given is not made.
    if let Some(path) = &create.token_out {
        write_new(path, "--token-out", token.expose())?;
    }
    let wanted = NewApiToken {
        name: &create.name,
        scope: create.whose.tenant.map_or(Scope::AllTenants, Scope::Tenant),
        role: create.role.into(),
        expires_at,
        who: &who,
    };
    let made = records.create_api_token(&token, wanted).await;
    if let (Err(_), Some(path)) = (&made, &create.token_out) {
        // It opens nothing; a file that stays is in the way of the next attempt.
        let _ = std::fs::remove_file(path);
    }
    let id = made.context("making the token")?;
    output::note(&format!("token {id}, good until {}", exact(expires_at)));
    if create.token_out.is_none() {
        output::note("it is shown this once:");
        output::text(token.expose())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn run_list(list: &List) -> anyhow::Result<ExitCode> {
    let tokens = environment::records()?.api_tokens(list.tenant).await?;
    match list.output {
        TableFormat::Json => output::json(&tokens)?,
        TableFormat::Table => output::text(&table(&tokens, UnixMillis::now()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(tokens: &[ApiTokenRow], now: UnixMillis) -> String {
    let mut table = Table::new(&["ID", "NAME", "TENANT", "ROLE", "STATE", "EXPIRES"]);
    for token in tokens {
        let state = match token.revoked_at {
            Some(_) => coloured("revoked", Colour::Red),
            None if token.expires_at <= now => coloured("expired", Colour::Yellow),
            None => coloured("good", Colour::Green),
        };
        table.row(vec![
            token.id.to_string(),
            token.name.clone(),
            token.tenant.map_or_else(|| "all".to_owned(), |tenant| tenant.to_string()),
            token.role.as_str().to_owned(),
            state,
            exact(token.expires_at),
        ]);
    }
    table.render()
}

async fn run_revoke(revoke: &Revoke) -> anyhow::Result<ExitCode> {
    let who = who()?;
    let Some(now) = environment::records()?.revoke_api_token(revoke.id, &who).await? else {
        bail!("there is no token {}; run: wegweiser api-token list", revoke.id);
    };
    output::json(&json!({ "id": revoke.id, "revoked": true, "was_revoked_before": !now }))?;
    Ok(ExitCode::SUCCESS)
}
