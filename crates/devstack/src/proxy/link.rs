//! One connection through the proxy: two directions, each a reader, a bounded queue and a writer.
//!
//! Promises: bytes keep their order; an end of stream is passed on after the bytes before it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// The most that is read at once.
pub const CHUNK_BYTES_MAX: usize = 16 * 1024;
/// How many chunks wait for their time in one direction before reading pauses.
pub const CHUNKS_IN_FLIGHT_MAX: usize = 64;

/// What the network is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weather {
    pub(super) forwarding: bool,
    pub(super) latency: Duration,
}

impl Weather {
    pub(super) const FAIR: Self = Self { forwarding: true, latency: Duration::ZERO };
}

struct Chunk {
    bytes: Vec<u8>,
    due: Instant,
}

/// Carries a connection until both sides have closed, or one of them failed.
pub(super) async fn forward(
    client: TcpStream,
    upstream: SocketAddr,
    weather: watch::Receiver<Weather>,
) {
    // A server that is down shows as a connection that closes at once.
    let Ok(server) = TcpStream::connect(upstream).await else {
        return;
    };
    // Small requests must not wait for company, or the proxy itself is a fault.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // An error on one side ends both; which side failed is the test's business.
    let _ = tokio::try_join!(
        one_way(from_client, to_server, weather.clone()),
        one_way(from_server, to_client, weather),
    );
}

async fn one_way(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    weather: watch::Receiver<Weather>,
) -> std::io::Result<()> {
    let (queue, queued) = mpsc::channel(CHUNKS_IN_FLIGHT_MAX);
    tokio::try_join!(read_all(from, queue, weather.clone()), write_all(to, queued, weather))?;
    Ok(())
}

async fn read_all(
    mut from: OwnedReadHalf,
    queue: mpsc::Sender<Chunk>,
    mut weather: watch::Receiver<Weather>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES_MAX];
    loop {
        until_forwarding(&mut weather).await?;
        let received = from.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..received).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        // The latency of now: it may have changed while nothing came.
        let due = Instant::now() + weather.borrow().latency;
        let chunk = Chunk { bytes: bytes.to_vec(), due };
        if queue.send(chunk).await.is_err() {
            return Ok(());
        }
    }
}

async fn write_all(
    mut to: OwnedWriteHalf,
    mut queued: mpsc::Receiver<Chunk>,
    mut weather: watch::Receiver<Weather>,
) -> std::io::Result<()> {
    while let Some(chunk) = queued.recv().await {
        sleep_until(chunk.due).await;
        until_forwarding(&mut weather).await?;
        to.write_all(&chunk.bytes).await?;
    }
    until_forwarding(&mut weather).await?;
    to.shutdown().await
}

/// Waits until bytes may pass; an error when the proxy is gone.
async fn until_forwarding(weather: &mut watch::Receiver<Weather>) -> std::io::Result<()> {
    match weather.wait_for(|now| now.forwarding).await {
        Ok(_) => Ok(()),
        Err(_) => Err(std::io::ErrorKind::ConnectionAborted.into()),
    }
}
