//! `wegweiser database-sign-in`: how a program signs in at Postgres.
//!
//! Promises: the password is generated here and stands in a file of mode 0600 alone; the server is
//! given what it is checked against. Once more with the same name gives it a new password.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use data_encoding::BASE64URL_NOPAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use storage::{AuditEntry, ProgramRole};

use crate::secret_file::write_new;
use crate::who::who;
use crate::{environment, output};

const PASSWORD_RANDOM_BYTES: usize = 24;

/// Makes a sign-in at Postgres for a program, or gives one a new password.
#[derive(Debug, Args)]
pub(crate) struct DatabaseSignInCommand {
    /// The name to sign in by.
    #[arg(long)]
    name: String,
    /// What it is for.
    #[arg(long, value_enum)]
    role: Role,
    /// Write the password to this new file (mode 0600).
    #[arg(long, value_name = "FILE")]
    password_out: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// wegweiser-receiver.
    Receiver,
    /// wegweiser-web.
    Web,
    /// Programs that read every tenant's records.
    Reader,
    /// wegweiser in daily work.
    Operator,
}

impl From<Role> for ProgramRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Receiver => Self::Receiver,
            Role::Web => Self::Web,
            Role::Reader => Self::Reader,
            Role::Operator => Self::Operator,
        }
    }
}

pub(crate) async fn run(command: &DatabaseSignInCommand) -> anyhow::Result<ExitCode> {
    let records = environment::records()?;
    let who = who()?;
    let random: [u8; PASSWORD_RANDOM_BYTES] = rand::random();
    let password = SecretString::from(BASE64URL_NOPAD.encode(&random));
    write_new(&command.password_out, "--password-out", password.expose_secret())?;
    let role = ProgramRole::from(command.role);
    if let Err(error) = records.set_sign_in(&command.name, role, &password).await {
        // It opens nothing; a file that stays is in the way of the next attempt.
        let _ = std::fs::remove_file(&command.password_out);
        return Err(error).context("making the sign-in");
    }
    let entry = AuditEntry {
        who,
        action: "database-sign-in",
        object: format!("sign-in {}", command.name),
        detail: json!({ "role": role.as_str() }),
    };
    records.audit(&[entry]).await.context("the sign-in is made, but not in the audit log")?;
    output::json(&json!({ "name": command.name, "role": role.as_str() }))?;
    Ok(ExitCode::SUCCESS)
}
