//! `wegweiser user`: who may sign in at the web service with a password.
//!
//! Promises: a password is read from a file or standard input, never from the command line, and
//! kept as an argon2id hash alone. Changes are in the audit log.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use protocol::TenantId;
use secrecy::SecretString;
use serde_json::json;
use storage::{NewUser, Scope, UserRow};

use super::{Role, first_link};
use crate::clock::exact;
use crate::output::{Colour, Table, TableFormat, coloured};
use crate::who::who;
use crate::{environment, output};

/// Longest name, in characters.
const NAME_MAX_CHARS: usize = 128;
/// Longest file that is read as a password.
const PASSWORD_FILE_MAX_BYTES: u64 = 4 * 1024;

/// Makes, lists and removes people who sign in at the web service.
#[derive(Debug, Args)]
pub(crate) struct UserCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add somebody.
    Add(Add),
    /// Print a link that lets the first admin in, once, while there is nobody.
    Link(first_link::Link),
    /// List them.
    List(List),
    /// Give somebody a new password and end their sessions.
    Password(Password),
    /// Remove somebody and end their sessions.
    Remove(Remove),
}

#[derive(Debug, Args)]
struct Add {
    /// What they sign in by.
    name: String,
    #[command(flatten)]
    whose: Whose,
    /// What they may.
    #[arg(long, value_enum)]
    role: Role,
    #[command(flatten)]
    password: PasswordFrom,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// The one tenant that they see (UUID).
    #[arg(long)]
    tenant: Option<TenantId>,
    /// They see every tenant.
    #[arg(long)]
    all_tenants: bool,
}

#[derive(Debug, Args)]
struct PasswordFrom {
    /// File whose first line is the password, 12 to 256 characters; absent: standard input.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct List {
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

#[derive(Debug, Args)]
struct Password {
    /// Who.
    name: String,
    #[command(flatten)]
    password: PasswordFrom,
}

#[derive(Debug, Args)]
struct Remove {
    /// Who.
    name: String,
}

pub(crate) async fn run(command: UserCommand) -> anyhow::Result<ExitCode> {
    match command.verb {
        Verb::Add(add) => run_add(&add).await,
        Verb::Link(link) => first_link::run(&link).await,
        Verb::List(list) => run_list(&list).await,
        Verb::Password(password) => run_password(&password).await,
        Verb::Remove(remove) => run_remove(&remove).await,
    }
}

impl PasswordFrom {
    /// The hash of the password.
    fn hash(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        match &self.password_file {
            Some(path) => {
                let file = std::fs::File::open(path);
                let file = file.with_context(|| format!("opening {}", path.display()))?;
                let read = file.take(PASSWORD_FILE_MAX_BYTES).read_to_string(&mut text);
                read.with_context(|| format!("reading {}", path.display()))?;
            }
            None => {
                output::note("password, then Enter and Ctrl-D:");
                let read = std::io::stdin().take(PASSWORD_FILE_MAX_BYTES).read_to_string(&mut text);
                read.context("reading the password from standard input")?;
            }
        }
        let password = SecretString::from(text.lines().next().unwrap_or_default());
        storage::hash_password(&password).context("reading the password")
    }
}

async fn run_add(add: &Add) -> anyhow::Result<ExitCode> {
    let length = add.name.chars().count();
    if length == 0 || length > NAME_MAX_CHARS || add.name.chars().any(char::is_control) {
        bail!(
            "name {:?}: give 1 to {NAME_MAX_CHARS} characters without control characters",
            add.name
        );
    }
    let (records, who) = (environment::records()?, who()?);
    let password_hash = add.password.hash()?;
    let wanted = NewUser {
        name: &add.name,
        scope: add.whose.tenant.map_or(Scope::AllTenants, Scope::Tenant),
        role: add.role.into(),
        password_hash: &password_hash,
        who: &who,
    };
    let id = records.create_user(wanted).await.context("adding the user")?;
    output::json(&json!({ "id": id, "name": add.name }))?;
    Ok(ExitCode::SUCCESS)
}

async fn run_list(list: &List) -> anyhow::Result<ExitCode> {
    let users = environment::records()?.users().await?;
    match list.output {
        TableFormat::Json => output::json(&users)?,
        TableFormat::Table => output::text(&table(&users))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(users: &[UserRow]) -> String {
    let mut table = Table::new(&["NAME", "TENANT", "ROLE", "PASSWORD", "SESSIONS", "ADDED"]);
    for user in users {
        table.row(vec![
            user.name.clone(),
            user.tenant.map_or_else(|| "all".to_owned(), |tenant| tenant.to_string()),
            user.role.as_str().to_owned(),
            if user.has_password {
                coloured("set", Colour::Green)
            } else {
                coloured("not set", Colour::Yellow)
            },
            user.sessions.to_string(),
            exact(user.created_at),
        ]);
    }
    table.render()
}

async fn run_password(command: &Password) -> anyhow::Result<ExitCode> {
    let (records, who) = (environment::records()?, who()?);
    let hash = command.password.hash()?;
    if !records.set_password(&command.name, &hash, &who).await? {
        bail!("there is no user {:?}; run: wegweiser user list", command.name);
    }
    output::json(&json!({ "name": command.name, "password": "set" }))?;
    Ok(ExitCode::SUCCESS)
}

async fn run_remove(command: &Remove) -> anyhow::Result<ExitCode> {
    let (records, who) = (environment::records()?, who()?);
    if !records.remove_user(&command.name, &who).await? {
        bail!("there is no user {:?}; run: wegweiser user list", command.name);
    }
    output::json(&json!({ "name": command.name, "removed": true }))?;
    Ok(ExitCode::SUCCESS)
}
