//! Reading the configuration again when asked to (SIGHUP).
//!
//! Promises: the connection and what runs unchanged are left alone; a configuration with a mistake
//! changes nothing; what cannot change without a restart is named.

use runtime::logs::LogFilter;
use runtime::settings::Mistakes;

use crate::config::Told;
use crate::crew::Crew;

/// Waits until the configuration is to be read again.
pub(crate) struct Requests {
    #[cfg(unix)]
    hang_up: tokio::signal::unix::Signal,
}

impl Requests {
    /// # Errors
    /// The operating system refused a signal handler.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            hang_up: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?,
        })
    }

    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        if self.hang_up.recv().await.is_some() {
            return;
        }
        // Elsewhere the service is restarted.
        std::future::pending::<()>().await;
    }
}

/// Takes over what the configuration says now; `told` is what the agent started with.
pub(crate) fn follow(
    crew: &mut Crew,
    filter: &LogFilter,
    told: &Told,
    now: Result<Told, Mistakes>,
) {
    let now = match now {
        Ok(now) => now,
        Err(mistakes) => {
            tracing::error!(%mistakes, "the configuration was read again and is not used");
            return;
        }
    };
    // It was read, so it can be used.
    if let Err(error) = filter.set(now.telemetry.log_filter()) {
        tracing::warn!(error, "the log's filter stays as it is");
    }
    let changed = crew.follow(&now.agent.plan);
    tracing::info!(changed = changed.join(", "), "configuration read again");
    let (old, new) = (&told.agent, &now.agent);
    let fixed = [
        ("broker", old.broker != new.broker),
        ("broker.reconnect_spread_ms", old.reconnect_spread != new.reconnect_spread),
        ("status", (&old.status_file, old.listen) != (&new.status_file, new.listen)),
        ("device", (old.device, old.tenant) != (new.device, new.tenant)),
        ("spool", old.spool != new.spool),
        ("commands", old.commands != new.commands),
        ("log", !told.telemetry.differs_in_filter_only(&now.telemetry)),
    ];
    let named: Vec<&str> = fixed.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
    if !named.is_empty() {
        tracing::warn!(sections = named.join(", "), "a restart is needed for what changed in them");
    }
}
