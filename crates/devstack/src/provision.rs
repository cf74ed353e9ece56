//! What turns three empty servers into a Wegweiser installation: keys, accounts, tables, streams.
//!
//! Promises: the same verbs that an operator types, in the order of docs/install.md; may be
//! repeated. The tenants of a local stack are samples, with ids that stay the same.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::programs::{self, Environment, Places};
use crate::{LocalStack, local};

/// Tenants of a local stack: UUID and name.
pub(crate) const TENANTS: [(&str, &str); 5] = [
    ("0192f000-0000-7000-8000-000000000001", "Alder Logistics"),
    ("0192f000-0000-7000-8000-000000000002", "Birch Clinics"),
    ("0192f000-0000-7000-8000-000000000003", "Cedar Retail"),
    ("0192f000-0000-7000-8000-000000000004", "Dogwood Schools"),
    ("0192f000-0000-7000-8000-000000000005", "Elm Energy"),
];

const OPERATOR: &str = "wegweiser";

/// Makes keys, credentials and the broker's configuration; the broker need not run.
pub(crate) fn prepare(stack: &Path) -> Result<Places> {
    let places = Places::of(stack);
    let tls = local::tls_files(stack)?;
    fs::create_dir_all(&places.tenants)
        .with_context(|| format!("creating {}", places.tenants.display()))?;
    for (tenant, name) in TENANTS {
        let path = places.tenants.join(format!("{tenant}.json"));
        if !path.exists() {
            let text = serde_json::json!({ "tenant": tenant, "name": name }).to_string();
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
    }
    let text = |path: &Path| path.display().to_string();
    let nats = stack.join("nats");
    programs::run(
        OPERATOR,
        &[
            "accounts",
            "bootstrap",
            "--creds-dir",
            &text(&places.creds),
            "--server-config",
            &text(&places.nats_config),
            "--jetstream-dir",
            &text(&nats.join("jetstream")),
            "--resolver-dir",
            &text(&nats.join("accounts")),
            // One machine that nobody relies on: a power loss may cost two minutes.
            "--sync-interval",
            "120000",
            // Said, so that a small disk does not refuse what the streams may grow to one day.
            "--max-file-store",
            "64000000000",
            "--tls-cert",
            &text(&tls.certificate),
            "--tls-key",
            &text(&tls.key),
        ],
        &places.environment(),
    )?;
    // Where the agents of a demo look, as enrolment would have left it.
    let believed = programs::run(OPERATOR, &["command-key", "show"], &places.environment())?;
    let path = places.creds.join("command-keys");
    fs::write(&path, believed + "\n").with_context(|| format!("writing {}", path.display()))?;
    Ok(places)
}

/// Makes tables, accounts and streams what their files say.
pub(crate) fn apply(stack: &LocalStack, places: &Places) -> Result<()> {
    let environment = operator_environment(stack, places);
    programs::run(OPERATOR, &["migrate"], &environment)?;
    programs::run(OPERATOR, &["accounts", "apply"], &environment)?;
    programs::run(OPERATOR, &["streams", "apply"], &environment)?;
    sign_in(places, &environment)
}

/// Sign-ins of the services, made once, and a token of the HTTP API, made anew each time.
fn sign_in(places: &Places, environment: &Environment) -> Result<()> {
    for role in ["receiver", "web"] {
        let password = places.database_password(role);
        if !password.exists() {
            let (name, file) = (programs::sign_in_name(role), password.display().to_string());
            let args =
                ["database-sign-in", "--name", &name, "--role", role, "--password-out", &file];
            programs::run(OPERATOR, &args, environment)?;
        }
    }
    let token = places.api_token();
    if token.exists() {
        fs::remove_file(&token).with_context(|| format!("removing {}", token.display()))?;
    }
    let token = token.display().to_string();
    let whose = ["--name", "local stack", "--all-tenants", "--role", "admin"];
    let args = [&["api-token", "create", "--token-out", &token], &whose[..]].concat();
    programs::run(OPERATOR, &args, environment)?;
    Ok(())
}

/// What the operator's verbs need on this stack.
pub(crate) fn operator_environment(stack: &LocalStack, places: &Places) -> Environment {
    let mut environment = programs::reaching(stack, &places.creds_of("operator"));
    environment.extend(places.environment());
    environment
}
