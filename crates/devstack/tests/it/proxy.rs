//! What the proxy does to a connection, seen from both ends of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use devstack::TcpProxy;

const DEADLINE: Duration = Duration::from_secs(10);
/// Long enough for loopback to deliver what it is going to deliver.
const SILENCE: Duration = Duration::from_millis(100);

/// A client and the server's end of its connection through a new proxy.
fn connected() -> (TcpProxy, TcpListener, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = TcpProxy::start(listener.local_addr().unwrap().port()).unwrap();
    let client = connect(&proxy).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_read_timeout(Some(DEADLINE)).unwrap();
    (proxy, listener, client, server)
}

fn connect(proxy: &TcpProxy) -> std::io::Result<TcpStream> {
    let client = TcpStream::connect(("127.0.0.1", proxy.port()))?;
    client.set_read_timeout(Some(DEADLINE))?;
    Ok(client)
}

fn received(from: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    from.read_exact(&mut bytes).unwrap();
    bytes
}

/// Whether nothing arrives for a while on a connection that stays open.
fn is_silent(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let silent = match stream.read(&mut [0; 1]) {
        Ok(_) => false,
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    };
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    silent
}

#[test]
fn bytes_pass_both_ways_unaltered_and_so_does_the_end() {
    let (proxy, _listener, mut client, mut server) = connected();
    let sent: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let expected = sent.clone();
    let writer = std::thread::spawn(move || {
        client.write_all(&sent).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        received(&mut client, 5)
    });
    let mut arrived = Vec::new();
    server.read_to_end(&mut arrived).unwrap();
    assert!(arrived == expected, "{} bytes arrived", arrived.len());
    // The other direction is still open.
    server.write_all(b"reply").unwrap();
    assert_eq!(writer.join().unwrap(), b"reply");
    assert_eq!(proxy.connections().unwrap(), 1);
}

#[test]
fn latency_delays_each_way_and_keeps_the_order() {
    let (proxy, _listener, mut client, mut server) = connected();
    let latency = Duration::from_millis(80);
    proxy.set_latency(latency).unwrap();
    let start = Instant::now();
    for number in 0..100_u8 {
        client.write_all(&[number]).unwrap();
    }
    let arrived = received(&mut server, 100);
    assert!(start.elapsed() >= latency, "{:?}", start.elapsed());
    assert_eq!(arrived, (0..100).collect::<Vec<u8>>());
    let start = Instant::now();
    server.write_all(b"back").unwrap();
    assert_eq!(received(&mut client, 4), b"back");
    assert!(start.elapsed() >= latency, "{:?}", start.elapsed());
}

#[test]
fn a_cut_closes_connections_and_refuses_new_ones_until_healed() {
    let (proxy, listener, mut client, mut server) = connected();
    proxy.cut().unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap_or(0), 0);
    assert_eq!(server.read(&mut [0; 1]).unwrap_or(0), 0);
    assert_eq!(connect(&proxy).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(proxy.connections().unwrap(), 0);

    proxy.heal().unwrap();
    let mut client = connect(&proxy).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"again").unwrap();
    assert_eq!(received(&mut server, 5), b"again");
}

#[test]
fn half_open_connections_stay_and_go_on_where_they_were() {
    let (proxy, listener, mut client, mut server) = connected();
    client.write_all(b"a").unwrap();
    assert_eq!(received(&mut server, 1), b"a");
    proxy.half_open().unwrap();
    client.write_all(b"b").unwrap();
    server.write_all(b"c").unwrap();
    assert!(is_silent(&mut server));
    assert!(is_silent(&mut client));
    // A new connection is taken, and as silent.
    let mut second = connect(&proxy).unwrap();
    second.write_all(b"d").unwrap();
    let (mut second_server, _) = listener.accept().unwrap();
    assert!(is_silent(&mut second_server));

    proxy.heal().unwrap();
    assert_eq!(received(&mut server, 1), b"b");
    assert_eq!(received(&mut client, 1), b"c");
    assert_eq!(received(&mut second_server, 1), b"d");
}

#[test]
fn a_server_that_is_down_shows_as_a_closed_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let proxy = TcpProxy::start(port).unwrap();
    let mut client = connect(&proxy).unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap_or(0), 0);
}

#[tokio::test]
async fn it_can_be_used_and_dropped_within_an_async_test() {
    let (proxy, _listener, _client, _server) = connected();
    proxy.cut().unwrap();
    proxy.heal().unwrap();
    drop(proxy);
}
