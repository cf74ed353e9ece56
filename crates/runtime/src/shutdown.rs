//! SIGTERM and Ctrl-C as one token that every task watches.

pub use tokio_util::sync::CancellationToken;

/// A token that is cancelled at the first SIGTERM or SIGINT; on Windows, at Ctrl-C or shutdown.
///
/// # Errors
/// The operating system refused a signal handler.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let signalled = signalled()?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let name = signalled.await;
        tracing::info!(signal = name, "stopping");
        cancelled.cancel();
    });
    Ok(token)
}

#[cfg(unix)]
fn signalled() -> std::io::Result<impl Future<Output = &'static str>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

#[cfg(windows)]
fn signalled() -> std::io::Result<impl Future<Output = &'static str>> {
    use tokio::signal::windows::{ctrl_c, ctrl_shutdown};
    let mut interrupt = ctrl_c()?;
    let mut shutdown = ctrl_shutdown()?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "Ctrl-C",
            _ = shutdown.recv() => "shutdown",
        }
    })
}
