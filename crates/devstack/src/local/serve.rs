//! The process that owns the local stack, until it is told to stop.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use super::{BrokerFiles, LocalStack};
use crate::output;

/// Runs the local stack until SIGTERM or SIGINT. A server that ends by itself stays down: `status`
/// shows it.
///
/// # Errors
/// When it does not come up or cannot be ended.
#[tokio::main(flavor = "current_thread")]
pub async fn serve(stack: PathBuf, broker: &BrokerFiles) -> Result<()> {
    // Armed first: a signal during the start is then heeded after it.
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut builder = LocalStack::builder(stack);
    if let Some(path) = &broker.nats_config {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading the NATS configuration {}", path.display()))?;
        builder = builder.nats_config(text);
    }
    if let Some(path) = &broker.nats_creds {
        builder = builder.nats_creds(path);
    }
    let mut running = builder.start()?;
    output::line("the local stack is up");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.stop()
}
