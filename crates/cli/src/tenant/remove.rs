//! `wegweiser tenant remove`: everything of a tenant goes, and the counts before and after prove it.
//!
//! The order keeps anything from coming back: first nobody of the tenant gets in any more, then the
//! receivers settle what they hold, then streams, rings and rows go, and once more what came late. Promises: exit code 0 means
//! that nothing is left, 1 names what is; cut off at any point, it is run again and does the rest.
//! Refuses: to begin without a yes, and to delete under a receiver that still holds messages. The
//! audit log stays: it tells of the removal.

use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use broker::Broker;
use broker::accounts::delete;
use broker::streams::{self, Settling};
use clap::Args;
use protocol::TenantId;
use serde::Serialize;
use serde_json::Map;
use storage::{RegistryError, TenantState};
use tokio::time::Instant;

use super::census::{Census, Places};
use crate::environment::{self, INBOUND, PUT_OFF};
use crate::office::Office;
use crate::operation::{About, Operation};
use crate::output::{self, Table, TableFormat};

/// How often the receivers' progress is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// After so many looks at a consumer that nobody asks, no receiver runs: one that does pauses for
/// an instant only. What it has not taken is purged.
const LOOKS_AT_NOBODY: u32 = 5;

/// The broker may still be storing what it had read when it ended the connections, and a receiver
/// moving notes from Redis to Postgres: what is late shows after this time.
const LATE_WITHIN: Duration = Duration::from_secs(2);
/// Rounds of removing what came late. Nobody can send any more, so one is usual and two are enough.
const ROUNDS_MAX: u32 = 5;

#[derive(Debug, Args)]
pub(super) struct Remove {
    /// The tenant (UUID).
    tenant: TenantId,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Seconds that receivers may take to settle what they were given.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    drain_seconds: u64,
    /// A table for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

#[derive(Serialize)]
struct Proof {
    tenant: TenantId,
    nothing_left: bool,
    places: Vec<Place>,
}

#[derive(Serialize)]
struct Place {
    place: String,
    before: u64,
    after: u64,
}

pub(super) async fn run(command: &Remove) -> anyhow::Result<ExitCode> {
    let tenant = command.tenant;
    let office = Office::open()?;
    let (rings, _) = environment::rings()?;
    let server = office.server().await?;
    let places = Places { office, server, broker: environment::broker().await?, rings };
    let before = places.count(tenant, &Default::default()).await.context("counting")?;
    if !before.is_empty() && !command.yes && !agreed(&places, tenant, &before).await? {
        output::note("nothing is removed");
        return Ok(ExitCode::FAILURE);
    }
    let about = vec![About::tenant(tenant).with("before", before.as_json())];
    let records = &places.office.records;
    let operation = Operation::begin(records, "tenant remove", about).await?;
    let removed = remove(&places, command, &before).await;
    let mut detail = Map::new();
    if let Ok(after) = &removed {
        detail.insert("left".to_owned(), after.as_json());
    }
    let after = operation.finish_with(removed, detail).await?;
    let proof = proof(tenant, &before, &after);
    print(&proof, command.output)?;
    if !proof.nothing_left {
        output::note("wegweiser: something is left; run it again");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

async fn remove(places: &Places, command: &Remove, before: &Census) -> anyhow::Result<Census> {
    let Places { office, server, broker, rings } = places;
    let tenant = command.tenant;
    // From here on no credential is issued, none is let in, and `accounts apply` brings nobody back.
    match office.records.set_tenant_state(tenant, TenantState::Suspended).await {
        Ok(_) | Err(RegistryError::UnknownTenant(_)) => {}
        Err(error) => return Err(error.into()),
    }
    if let Some(found) = office.declared()?.tenant(tenant) {
        let removed = std::fs::remove_file(&found.file);
        removed.with_context(|| format!("removing {}", found.file.display()))?;
    }
    delete(server, &office.keys, tenant).await.context("removing the account")?;

    let mut round = 1;
    loop {
        drain(broker, Duration::from_secs(command.drain_seconds)).await?;
        streams::purge_tenant(broker, tenant).await.context("purging the streams")?;
        let consumers = streams::command_consumers(broker, &before.devices).await?;
        streams::remove_command_consumers(broker, &consumers).await?;
        rings.remove_of(&before.devices).await.context("removing the rings")?;
        rings.remove_notes_of(tenant).await.context("removing the notes of the books")?;
        office.records.remove_tenant_rows(tenant).await.context("removing the rows")?;
        tokio::time::sleep(LATE_WITHIN).await;
        let left = places.count(tenant, &before.devices).await.context("counting what is left")?;
        if left.is_empty() || round == ROUNDS_MAX {
            return Ok(left);
        }
        round += 1;
    }
}

/// Waits until receivers hold nothing that was sent before the tenant was shut out.
async fn drain(broker: &Broker, within: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + within;
    // After the metrics, since receivers put off some of them.
    let consumers = INBOUND.map(|(stream, consumer, _)| (stream, consumer));
    for (stream, consumer) in consumers.into_iter().chain([PUT_OFF]) {
        let newest = broker.stream_state(stream).await?.last_sequence;
        let mut looks_at_nobody = 0;
        loop {
            match streams::settling(broker, stream, consumer, newest).await? {
                Settling::Settled => break,
                Settling::Nobody => looks_at_nobody += 1,
                Settling::Under => looks_at_nobody = 0,
            }
            if looks_at_nobody >= LOOKS_AT_NOBODY {
                break;
            }
            if Instant::now() >= deadline {
                bail!(
                    "consumer {consumer} of {stream} has not settled what came before sequence \
                     {newest} within {} s; the tenant is shut out already. Look whether receivers \
                     run (wegweiser status), give them more --drain-seconds, and run it again",
                    within.as_secs()
                );
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    Ok(())
}

async fn agreed(places: &Places, tenant: TenantId, before: &Census) -> anyhow::Result<bool> {
    let declared = places.office.declared()?;
    let registered = places.office.records.tenant(tenant).await?;
    let name = registered
        .map(|found| found.name)
        .or_else(|| declared.tenant(tenant).map(|found| found.name.clone()))
        .unwrap_or_else(|| tenant.to_string());
    if !std::io::stdin().is_terminal() {
        bail!(
            "nobody is there to be asked: give --yes to remove tenant {tenant} ({name}) for good"
        );
    }
    for (place, count) in before.counts.iter().filter(|(_, count)| *count > 0) {
        output::note(&format!("{place}: {count}"));
    }
    output::note(&format!("remove all of this for good? Type the tenant's name ({name}):"));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == name)
}

fn proof(tenant: TenantId, before: &Census, after: &Census) -> Proof {
    let place = |(place, after): &(String, u64)| Place {
        place: place.clone(),
        before: before.of(place),
        after: *after,
    };
    let places = after.counts.iter().map(place).collect();
    Proof { tenant, nothing_left: after.is_empty(), places }
}

fn print(proof: &Proof, format: TableFormat) -> anyhow::Result<()> {
    if format == TableFormat::Json {
        return output::json(proof);
    }
    let mut table = Table::new(&["PLACE", "BEFORE", "AFTER"]);
    for Place { place, before, after } in &proof.places {
        table.row(vec![place.clone(), before.to_string(), after.to_string()]);
    }
    output::text(&table.render())?;
    if proof.nothing_left {
        output::text(&format!("nothing is left of tenant {}", proof.tenant))?;
    }
    Ok(())
}
