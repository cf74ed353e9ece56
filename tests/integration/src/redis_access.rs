//! Redis lets each program do what it needs and nothing else, and is spoken to over TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use devstack::{Redis, RedisUser, tls};
use protocol::{DeviceId, MessageNumber, MetricPoint, TenantId, UnixMillis};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::SecretString;
use storage::{RedisSettings, RingWrite, Rings};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use uuid::Uuid;

struct Place {
    redis: Redis,
    secrets: tempfile::TempDir,
}

impl Place {
    fn start() -> Result<Self> {
        let secrets = tempfile::tempdir()?;
        Ok(Self { redis: Redis::builder().users(secrets.path()).start()?, secrets })
    }

    fn password(&self, user: RedisUser) -> Result<String> {
        let text = std::fs::read_to_string(user.password_file(self.secrets.path()))?;
        Ok(text.trim().to_owned())
    }

    fn settings(&self, user: RedisUser) -> Result<RedisSettings> {
        Ok(RedisSettings {
            host: "127.0.0.1".to_owned(),
            port: self.redis.port(),
            database: 3,
            prefix: "wegweiser:metrics".to_owned(),
            max_points: RING_POINTS,
            ttl: Duration::from_secs(900),
            username: Some(user.name().to_owned()),
            password: Some(SecretString::from(self.password(user)?)),
            tls: false,
            ca: None,
        })
    }

    /// A raw connection, as somebody has it who knows that password.
    async fn raw(&self, user: RedisUser) -> Result<redis::aio::MultiplexedConnection> {
        let (name, password) = (user.name(), self.password(user)?);
        let url = format!("redis://{name}:{password}@127.0.0.1:{}/3", self.redis.port());
        Ok(redis::Client::open(url)?.get_multiplexed_async_connection().await?)
    }
}

fn point(device: DeviceId, at: i64) -> Result<MetricPoint> {
    Ok(MetricPoint {
        tenant: TenantId::new(Uuid::now_v7()),
        device,
        metric: "cpu_percent".parse()?,
        at: UnixMillis::new(at),
        value: 1.5,
    })
}

/// So few that a list is cut at the third point.
const RING_POINTS: u32 = 1;

/// Writes a point the fast way until its list is cut, and again the careful way, numbered, so that
/// every command is used.
async fn write(rings: &Rings, device: DeviceId) -> Result<()> {
    let now = UnixMillis::now();
    let point = point(device, now.get())?;
    let number = MessageNumber { session: Uuid::now_v7().to_string().parse()?, counter: 1 };
    for repeated in [false, false, false, true] {
        let write = RingWrite { point: &point, number: Some(number), received: now, repeated };
        for written in rings.write(&[write]).await? {
            let _ = written.map_err(|reject| anyhow::anyhow!("{reject:?}"))?;
        }
    }
    Ok(())
}

async fn refused(connection: &mut redis::aio::MultiplexedConnection, command: &str) -> Result<()> {
    let mut words = command.split(' ');
    let mut asked = redis::cmd(words.next().unwrap_or_default());
    for word in words {
        asked.arg(word);
    }
    let answer: redis::RedisResult<redis::Value> = asked.query_async(connection).await;
    let error = answer.err().with_context(|| format!("done: {command}"))?;
    anyhow::ensure!(error.code() == Some("NOPERM"), "{command}: {error}");
    Ok(())
}

#[tokio::test]
async fn each_program_does_what_it_needs_and_nothing_else() -> Result<()> {
    let place = Place::start()?;
    let device = DeviceId::new(Uuid::now_v7());
    let receiver = Rings::open(&place.settings(RedisUser::Receiver)?)?;
    write(&receiver, device).await?;
    let (_, notes) = receiver.notes(0).await?;
    assert_eq!(notes.len(), 1, "{notes:?}");
    receiver.forget_notes(&notes).await?;

    let web = Rings::open(&place.settings(RedisUser::Web)?)?;
    assert_eq!(web.newest(device, &"cpu_percent".parse()?, 10).await?.len(), 1);
    web.server_time().await?;
    assert!(write(&web, device).await.is_err(), "the web service wrote a ring");
    let operator = Rings::open(&place.settings(RedisUser::Operator)?)?;
    assert_eq!(operator.count(10).await?, 1);

    let ring = format!("wegweiser:metrics:{device}:cpu_percent");
    let mut raw = place.raw(RedisUser::Web).await?;
    for command in [
        &format!("LPUSH {ring} x"),
        &format!("DEL {ring}"),
        &format!("EXPIRE {ring} 1"),
        "LRANGE other 0 -1",
        "KEYS *",
        "SCAN 0",
        "EVAL return 0",
        "CONFIG GET *",
        "ACL LIST",
        "FLUSHALL",
    ] {
        refused(&mut raw, command).await?;
    }
    let mut raw = place.raw(RedisUser::Receiver).await?;
    for command in [
        "LPUSH other x",
        "LRANGE other 0 -1",
        "DEL other",
        "GET wegweiser:other",
        "KEYS *",
        "SCAN 0",
        "CONFIG GET *",
        "ACL LIST",
        "FLUSHALL",
        "FLUSHDB",
        "SHUTDOWN",
        "SUBSCRIBE x",
    ] {
        refused(&mut raw, command).await?;
    }
    let mut raw = place.raw(RedisUser::Operator).await?;
    for command in ["FLUSHALL", "CONFIG GET *", "ACL LIST", "LPUSH other x", "SHUTDOWN"] {
        refused(&mut raw, command).await?;
    }
    let nobody = redis::Client::open(format!("redis://127.0.0.1:{}/3", place.redis.port()))?;
    assert!(nobody.get_multiplexed_async_connection().await.is_err(), "without a password");
    Ok(())
}

/// Takes TLS connections for the server behind it, which may have been built without.
async fn door(files: &tls::TlsFiles, behind: u16) -> Result<u16> {
    let chain = CertificateDer::pem_file_iter(&files.certificate)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&files.key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((outside, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut outside = acceptor.accept(outside).await?;
                let mut inside = TcpStream::connect(("127.0.0.1", behind)).await?;
                tokio::io::copy_bidirectional(&mut outside, &mut inside).await
            });
        }
    });
    Ok(port)
}

#[tokio::test]
async fn over_tls_the_server_is_verified() -> Result<()> {
    let place = Place::start()?;
    let dir = tempfile::tempdir()?;
    let ours = tls::files_in(&dir.path().join("ours"))?;
    let other = tls::files_in(&dir.path().join("other"))?;
    let port = door(&ours, place.redis.port()).await?;
    let trusting = |ca: &Path| -> Result<Rings> {
        let settings = place.settings(RedisUser::Receiver)?;
        let ca = Some(ca.to_path_buf());
        Ok(Rings::open(&RedisSettings { port, tls: true, ca, ..settings })?)
    };
    write(&trusting(&ours.ca)?, DeviceId::new(Uuid::now_v7())).await?;
    let refused = trusting(&other.ca)?.server_time().await;
    assert!(refused.is_err(), "a certificate of another authority was taken");
    let missing = trusting(&dir.path().join("none.pem"));
    let said = missing.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(said.contains("WEGWEISER_REDIS_CA"), "{said}");
    Ok(())
}
