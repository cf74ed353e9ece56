//! Removing letters, many at a time.

use anyhow::Context as _;
use broker::Broker;
use futures::future::join_all;

/// Removes letters; one that is gone already is fine, since two may do the same at once.
pub(super) async fn remove(broker: &Broker, sequences: &[u64]) -> anyhow::Result<()> {
    let removals = sequences.iter().map(|sequence| broker.remove_dead_letter(*sequence));
    for removed in join_all(removals).await {
        removed.context("removing a letter; run it again")?;
    }
    Ok(())
}
