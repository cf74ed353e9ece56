//! What a service tells systemd: that it is ready, that it is alive, that it stops (sd_notify).
//!
//! Its own few lines: the protocol is a datagram with a text to a socket whose name stands in
//! `NOTIFY_SOCKET`. Where there is none, nothing is told.

use std::time::Duration;

use tokio::time::Interval;
use tokio_util::sync::CancellationToken;

use crate::health::Health;

/// Whoever started this process, if it wants to be told.
#[derive(Debug, Default)]
pub struct Manager {
    #[cfg(target_os = "linux")]
    socket: Option<std::os::unix::net::UnixDatagram>,
    alive: Option<Interval>,
}

#[cfg(target_os = "linux")]
impl Manager {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    pub fn from_environment() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        match connect(&name) {
            Ok(socket) => Self { socket: Some(socket), alive: watchdog() },
            Err(error) => {
                tracing::warn!(socket = ?name, %error, "the service manager cannot be told");
                Self::default()
            }
        }
    }

    /// Tells a state, such as `READY=1`.
    pub fn tell(&self, state: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(state.as_bytes()) {
            tracing::warn!(%error, "the service manager was not told");
        }
    }
}

#[cfg(target_os = "linux")]
fn connect(name: &std::ffi::OsStr) -> std::io::Result<std::os::unix::net::UnixDatagram> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let socket = UnixDatagram::unbound()?;
    // A manager that is stuck must not hold us up.
    socket.set_nonblocking(true)?;
    match name.as_bytes().split_first() {
        Some((b'@', rest)) => socket.connect_addr(&SocketAddr::from_abstract_name(rest)?)?,
        _ => socket.connect(name)?,
    }
    Ok(socket)
}

/// Half of the time after which the manager takes us for dead.
#[cfg(target_os = "linux")]
fn watchdog() -> Option<Interval> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    let microseconds = number("WATCHDOG_USEC").filter(|given| for_us && *given >= 2)?;
    let mut alive = tokio::time::interval(Duration::from_micros(microseconds / 2));
    alive.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    Some(alive)
}

#[cfg(not(target_os = "linux"))]
impl Manager {
    /// launchd and the task scheduler watch the process and are told nothing.
    pub fn from_environment() -> Self {
        Self::default()
    }

    /// Tells nobody.
    #[expect(clippy::unused_self, reason = "as on Linux")]
    pub fn tell(&self, _state: &str) {}
}

impl Manager {
    /// Tells that the process is alive, when that is due; never, where nobody asks for it.
    pub async fn alive_when_due(&mut self) {
        match &mut self.alive {
            Some(alive) => drop(alive.tick().await),
            None => std::future::pending().await,
        }
        self.tell("WATCHDOG=1");
    }
}

/// How often it is looked whether the process is ready.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Tells for as long as a service runs: ready at once, since it waits for its servers by itself;
/// alive, as long as tasks run; whether everything is up, as its status; and that it stops.
pub async fn keep_told(health: Health, stop: CancellationToken) {
    let mut manager = Manager::from_environment();
    manager.tell("READY=1");
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let mut told = String::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = manager.alive_when_due() => {}
            _ = looks.tick() => {
                let status = health.summary();
                if status != told {
                    manager.tell(&format!("STATUS={status}"));
                    told = status;
                }
            }
        }
    }
    manager.tell("STOPPING=1");
}
