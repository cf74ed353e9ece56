//! A TCP proxy for fault tests: it stands before a server and makes the network misbehave.
//!
//! Promises: a change is in force when the call that made it returns; each connection buffers at most
//! [`CHUNKS_IN_FLIGHT_MAX`] × [`CHUNK_BYTES_MAX`] a direction; its own thread does the work, so it
//! serves async and plain tests alike. Refuses to: lose, reorder or alter bytes on a connection that
//! it keeps.

mod link;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc as blocking;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

pub use link::{CHUNK_BYTES_MAX, CHUNKS_IN_FLIGHT_MAX};
use link::{Weather, forward};

const COMMANDS_WAITING_MAX: usize = 8;
const LISTEN_BACKLOG: u32 = 1024;
/// Bounds how long a call waits for the proxy's thread.
const DONE_WITHIN: Duration = Duration::from_secs(10);

/// A loopback port that forwards to a server, until told otherwise.
#[derive(Debug)]
pub struct TcpProxy {
    port: u16,
    commands: mpsc::Sender<Order>,
    /// `None` only while dropping.
    runtime: Option<Runtime>,
}

#[derive(Debug, Clone, Copy)]
enum Command {
    Latency(Duration),
    Cut,
    HalfOpen,
    Heal,
    CountConnections,
}

/// A command and where to say that it is done, with the number of connections.
type Order = (Command, blocking::SyncSender<Result<usize>>);

impl TcpProxy {
    /// Listens on a free loopback port and forwards to `upstream_port` on this machine.
    ///
    /// # Errors
    /// When no port or thread can be had.
    pub fn start(upstream_port: u16) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tcp-proxy")
            .enable_all()
            .build()
            .context("starting the proxy's thread")?;
        let entered = runtime.enter();
        let listener = reserve(0)?.listen(LISTEN_BACKLOG)?;
        drop(entered);
        let port = listener.local_addr()?.port();
        let (commands, orders) = mpsc::channel(COMMANDS_WAITING_MAX);
        let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, upstream_port));
        runtime.spawn(Switchboard::new(upstream, port, listener).run(orders));
        Ok(Self { port, commands, runtime: Some(runtime) })
    }

    /// The port to connect to, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Delays every byte by `latency`, each way, without limiting how many are under way.
    ///
    /// # Errors
    /// When the proxy's thread is gone.
    pub fn set_latency(&self, latency: Duration) -> Result<()> {
        self.order(Command::Latency(latency)).map(drop)
    }

    /// Closes every connection and refuses new ones.
    ///
    /// # Errors
    /// When the port cannot be kept.
    pub fn cut(&self) -> Result<()> {
        self.order(Command::Cut).map(drop)
    }

    /// Stops forwarding but keeps connections open, and accepts new ones: what a firewall does that
    /// forgot them. Bytes sent meanwhile are held and go on after [`Self::heal`].
    ///
    /// # Errors
    /// When the proxy's thread is gone.
    pub fn half_open(&self) -> Result<()> {
        self.order(Command::HalfOpen).map(drop)
    }

    /// Forwards again, without delay, on the same port.
    ///
    /// # Errors
    /// When the port cannot be listened on.
    pub fn heal(&self) -> Result<()> {
        self.order(Command::Heal).map(drop)
    }

    /// How many connections go through at this moment.
    ///
    /// # Errors
    /// When the proxy's thread is gone.
    pub fn connections(&self) -> Result<usize> {
        self.order(Command::CountConnections)
    }

    fn order(&self, command: Command) -> Result<usize> {
        let (done, answer) = blocking::sync_channel(1);
        self.commands
            .try_send((command, done))
            .map_err(|error| anyhow!("the proxy takes no command: {error}"))?;
        answer.recv_timeout(DONE_WITHIN).context("waiting for the proxy")?
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropping a runtime waits for it, which an async test may not do.
            runtime.shutdown_background();
        }
    }
}

/// Holds the port at any time: while listening, or (cut) only bound, which refuses connections.
enum Door {
    Open(TcpListener),
    Shut(TcpSocket),
}

/// The task that owns the port and the connections.
struct Switchboard {
    upstream: SocketAddr,
    port: u16,
    /// `None` only while it is changed.
    door: Option<Door>,
    weather: watch::Sender<Weather>,
    connections: JoinSet<()>,
}

impl Switchboard {
    fn new(upstream: SocketAddr, port: u16, listener: TcpListener) -> Self {
        Self {
            upstream,
            port,
            door: Some(Door::Open(listener)),
            weather: watch::Sender::new(Weather::FAIR),
            connections: JoinSet::new(),
        }
    }

    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some((command, done)) = order else {
                        return;
                    };
                    let result = self.obey(command).await.map(|()| self.connections.len());
                    // Whoever gave up waiting does not need to know.
                    let _ = done.send(result);
                }
                client = next_client(self.door.as_ref()) => {
                    let weather = self.weather.subscribe();
                    self.connections.spawn(forward(client, self.upstream, weather));
                }
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    async fn obey(&mut self, command: Command) -> Result<()> {
        match command {
            Command::CountConnections => {}
            Command::Latency(latency) => self.weather.send_modify(|now| now.latency = latency),
            Command::HalfOpen => self.weather.send_modify(|now| now.forwarding = false),
            Command::Heal => {
                self.open_door()?;
                self.weather.send_replace(Weather::FAIR);
            }
            Command::Cut => {
                // The listener goes first, so that nobody slips in between.
                drop(self.door.take());
                self.door = Some(Door::Shut(reserve(self.port)?));
                self.connections.shutdown().await;
            }
        }
        Ok(())
    }

    fn open_door(&mut self) -> Result<()> {
        let listener = match self.door.take() {
            Some(Door::Open(listener)) => listener,
            Some(Door::Shut(socket)) => socket.listen(LISTEN_BACKLOG)?,
            None => reserve(self.port)?.listen(LISTEN_BACKLOG)?,
        };
        self.door = Some(Door::Open(listener));
        Ok(())
    }
}

/// The next connection; never, while the door is shut.
async fn next_client(door: Option<&Door>) -> TcpStream {
    if let Some(Door::Open(listener)) = door {
        loop {
            if let Ok((client, _)) = listener.accept().await {
                return client;
            }
        }
    }
    std::future::pending().await
}

/// A bound socket that does not listen: connecting to it is refused.
fn reserve(port: u16) -> Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket
        .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .with_context(|| format!("binding the proxy's port {port}"))?;
    Ok(socket)
}
