//! Makes the broker what the files say.
//!
//! Promises: every refusal comes before the first change; running again after a failure, or beside
//! another operator, goes on where it stopped; afterwards the difference is asked for once more,
//! so that "applied" is what the server says. Refuses: changes that lose data, unless allowed, and
//! changes that the server cannot make.

use super::difference::{self, Request, Work};
use super::server::{Server, ServerError};
use super::{Desired, Destructive};
use crate::Broker;
use crate::plan::{Change, Plan};

/// What was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The plan that was carried out; empty when there was nothing to do.
    pub plan: Plan,
}

/// Why the files were not, or not wholly, applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The server could not be asked; nothing was changed.
    #[error("nothing was changed")]
    NotPlanned(#[source] ServerError),
    /// The server cannot make these changes; nothing was changed.
    #[error("nothing was changed: the broker cannot make {} change(s){}", .0.immutable().len(), list(&.0.immutable()))]
    Immutable(Plan),
    /// These changes lose data and were not allowed; nothing was changed.
    #[error("nothing was changed: {} change(s) would lose data; allow them with --allow-destructive{}", .0.destructive().len(), list(&.0.destructive()))]
    Destructive(Plan),
    /// One change failed on the way.
    #[error("{object} was not changed; done before: {}; correct the cause and apply again, it goes on there", done_list(.done))]
    Stopped {
        /// What failed.
        object: String,
        /// What was changed before.
        done: Vec<String>,
        /// Why.
        #[source]
        source: ServerError,
    },
    /// Every change was made, and the check afterwards could not be.
    #[error("every change was made ({}), but not checked; plan shows whether it holds", done_list(.done))]
    NotChecked {
        /// What was changed.
        done: Vec<String>,
        /// Why it was not checked.
        #[source]
        source: ServerError,
    },
    /// Everything was accepted and still differs: somebody else changes it too, or the server
    /// keeps another value.
    #[error("the broker accepted every change and still differs{}\nif nobody else applies other files, state in the file the value that the broker shows", list(&.0.changes.iter().collect::<Vec<_>>()))]
    StillDiffers(Plan),
}

/// Applies the files. Applying twice, or two operators at once with the same files, is harmless.
///
/// # Errors
/// See [`ApplyError`]; the first three of its kinds mean that nothing was changed.
pub async fn apply(
    broker: &Broker,
    desired: &Desired,
    destructive: Destructive,
) -> Result<Applied, ApplyError> {
    let server = Server::new(broker.jetstream());
    let Work { plan, steps } =
        difference::between(&server, desired).await.map_err(ApplyError::NotPlanned)?;
    if !plan.immutable().is_empty() {
        return Err(ApplyError::Immutable(plan));
    }
    if !plan.destructive().is_empty() && destructive == Destructive::Refuse {
        return Err(ApplyError::Destructive(plan));
    }
    let mut done = Vec::new();
    for step in steps {
        if let Err(source) = send(&server, step.request).await {
            return Err(ApplyError::Stopped { object: step.object, done, source });
        }
        tracing::info!(object = step.object, "changed on the broker");
        done.push(step.object);
    }
    if done.is_empty() {
        return Ok(Applied { plan });
    }
    match difference::between(&server, desired).await {
        Ok(left) if left.plan.is_empty() => Ok(Applied { plan }),
        Ok(left) => Err(ApplyError::StillDiffers(left.plan)),
        Err(source) => Err(ApplyError::NotChecked { done, source }),
    }
}

async fn send(server: &Server<'_>, request: Request) -> Result<(), ServerError> {
    match request {
        Request::CreateStream { name, config } => server.create_stream(&name, &config).await,
        Request::UpdateStream { name, config } => server.update_stream(&name, &config).await,
        Request::PutConsumer { stream, name, config } => {
            server.put_consumer(&stream, &name, &config).await
        }
        Request::RemoveStream { name } => server.remove_stream(&name).await,
        Request::RemoveConsumer { stream, name } => server.remove_consumer(&stream, &name).await,
    }
}

fn list(changes: &[&Change]) -> String {
    let lines: Vec<String> =
        changes.iter().map(|change| format!("\n  {}: {change}", change.object)).collect();
    lines.concat()
}

fn done_list(done: &[String]) -> String {
    if done.is_empty() { "nothing".to_owned() } else { done.join(", ") }
}
