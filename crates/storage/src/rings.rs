//! Rings: the newest points of each metric of each device, for live charts.
//!
//! `write` puts points into them. Readers sort and drop repeats, since replicas may finish in any
//! order.

mod lives;
mod scan;
mod write;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::{DeviceId, MetricType, UnixMillis};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, ConnectionAddr, IntoConnectionInfo as _, Pipeline, RedisConnectionInfo, RedisResult,
    TlsCertificates, Value,
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::outcome::Unavailable;
use crate::{RedisSettings, merge, traces};
use lives::Lives;

pub use write::RingWrite;

/// How long a pipeline may take before Redis counts as away.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The list keeps this share more than the ring, at its old end: a receiver that writes an older
/// batch after another's newer one then pushes out what nobody is shown.
const SLACK_SHARE: u32 = 4;
/// Elements that are read beside those that are shown: receivers may have written in another order.
const SWAPPED_POINTS: usize = 8;

/// A point as a ring holds it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RingPoint {
    /// When it was measured, in milliseconds since 1970, by the device's clock.
    #[schema(value_type = i64)]
    pub timestamp: UnixMillis,
    /// The value, in the metric's own unit.
    pub value: f64,
}

/// The rings in Redis; cheap to clone.
#[derive(Clone)]
pub struct Rings {
    connection: ConnectionManager,
    prefix: String,
    max_points: u32,
    lives: Arc<Mutex<Lives>>,
    merge_sha: String,
}

impl Rings {
    /// Prepares the rings; connects at the first use and again whenever needed.
    ///
    /// # Errors
    /// The settings make no address.
    pub fn open(settings: &RedisSettings) -> Result<Self, Unavailable> {
        // Redis before 7.2 does not know the command for it, so no user's rules may name it either.
        let mut access = RedisConnectionInfo::default()
            .set_db(i64::from(settings.database))
            .set_skip_set_lib_name();
        if let Some(username) = &settings.username {
            access = access.set_username(username);
        }
        if let Some(password) = &settings.password {
            access = access.set_password(password.expose_secret());
        }
        let client = client(settings, access)?;
        // Whether to try again is the receiver's decision, in one place.
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_number_of_retries(0);
        let connection =
            ConnectionManager::new_lazy_with_config(client, config).map_err(Unavailable::redis)?;
        Ok(Self {
            connection,
            prefix: settings.prefix.clone(),
            max_points: settings.max_points,
            lives: Arc::new(Mutex::new(Lives::new(settings.ttl))),
            merge_sha: merge::sha(),
        })
    }

    /// Key of one ring.
    #[must_use]
    pub fn key(&self, device: DeviceId, metric: &str) -> String {
        let mut key = String::new();
        self.write_key(&mut key, device, metric);
        key
    }

    /// Writes the key of one ring over what `key` holds.
    fn write_key(&self, key: &mut String, device: DeviceId, metric: &str) {
        key.clear();
        key.push_str(&self.prefix);
        key.push(':');
        key.push_str(device.as_uuid().as_hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        key.push(':');
        key.push_str(metric);
    }

    /// The newest `last` points of a ring, oldest first, each time stamp once; never more than a
    /// ring holds.
    ///
    /// # Errors
    /// Redis is away or ill.
    pub async fn newest(
        &self,
        device: DeviceId,
        metric: &MetricType,
        last: usize,
    ) -> Result<Vec<RingPoint>, Unavailable> {
        let mut connection = self.connection.clone();
        let elements: Vec<Vec<u8>> = redis::cmd("LRANGE")
            .arg(self.key(device, metric.as_str()))
            .arg(0)
            .arg(-1)
            .query_async(&mut connection)
            .await
            .map_err(Unavailable::redis)?;
        Ok(self.shown((device, metric), &elements, last))
    }

    /// As [`Rings::newest`] for several rings, in their order, asked for at once.
    ///
    /// # Errors
    /// Redis is away or ill.
    pub async fn newest_of(
        &self,
        rings: &[(DeviceId, &MetricType)],
        last: usize,
    ) -> Result<Vec<Vec<RingPoint>>, Unavailable> {
        if rings.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = Pipeline::with_capacity(rings.len());
        // Neighbours may have changed places, and a time may be there twice.
        let read = last.saturating_add(last / SLACK_SHARE as usize).saturating_add(SWAPPED_POINTS);
        for (device, metric) in rings {
            pipeline.cmd("LRANGE").arg(self.key(*device, metric.as_str())).arg(0).arg(read - 1);
        }
        let mut connection = self.connection.clone();
        let lists: Vec<Vec<Vec<u8>>> =
            pipeline.query_async(&mut connection).await.map_err(Unavailable::redis)?;
        let lists = rings.iter().zip(&lists);
        Ok(lists.map(|(ring, elements)| self.shown(*ring, elements, last)).collect())
    }

    /// What a reader is shown of a ring's elements.
    fn shown(
        &self,
        (device, metric): (DeviceId, &MetricType),
        elements: &[Vec<u8>],
        last: usize,
    ) -> Vec<RingPoint> {
        let mut points: Vec<RingPoint> = Vec::with_capacity(elements.len());
        for element in elements {
            match serde_json::from_slice(element) {
                Ok(point) => points.push(point),
                Err(error) => tracing::warn!(%device, %metric, %error, "unreadable ring element"),
            }
        }
        points.sort_by_key(|point| point.timestamp);
        points.dedup_by_key(|point| point.timestamp);
        let most = last.min(self.max_points as usize);
        let surplus = points.len().saturating_sub(most);
        points.drain(..surplus);
        points
    }

    /// The server's clock.
    ///
    /// # Errors
    /// Redis is away or ill.
    pub async fn server_time(&self) -> Result<UnixMillis, Unavailable> {
        let mut connection = self.connection.clone();
        let (seconds, microseconds): (i64, i64) =
            redis::cmd("TIME").query_async(&mut connection).await.map_err(Unavailable::redis)?;
        Ok(UnixMillis::new(seconds.saturating_mul(1000).saturating_add(microseconds / 1000)))
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Runs one command for its answer.
    pub(crate) async fn ask<T: redis::FromRedisValue>(
        &self,
        command: &redis::Cmd,
    ) -> Result<T, Unavailable> {
        let mut connection = self.connection.clone();
        command.query_async(&mut connection).await.map_err(Unavailable::redis)
    }

    /// Runs commands all of which have to succeed.
    pub(crate) async fn all(&self, pipeline: &mut Pipeline) -> Result<(), Unavailable> {
        for reply in self.run(pipeline).await? {
            reply.map_err(Unavailable::redis)?;
        }
        Ok(())
    }

    async fn run(&self, pipeline: &mut Pipeline) -> Result<Vec<RedisResult<Value>>, Unavailable> {
        let mut connection = self.connection.clone();
        let commands = pipeline.cmd_iter().count();
        let asking = pipeline.ignore_errors().query_async(&mut connection);
        let asked = async { asking.await.map_err(Unavailable::redis) };
        traces::pipeline(commands, asked).await
    }
}

fn client(settings: &RedisSettings, access: RedisConnectionInfo) -> Result<Client, Unavailable> {
    let (host, port) = (settings.host.clone(), settings.port);
    let address = if settings.tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let address = address.into_connection_info().map_err(Unavailable::redis)?;
    let address = address.set_redis_settings(access);
    if !settings.tls {
        return Client::open(address).map_err(Unavailable::redis);
    }
    let root_cert = match &settings.ca {
        None => None,
        Some(path) => Some(std::fs::read(path).map_err(|error| {
            Unavailable::redis(format!("WEGWEISER_REDIS_CA {}: {error}", path.display()))
        })?),
    };
    let certificates = TlsCertificates { client_tls: None, root_cert };
    Client::build_with_tls(address, certificates).map_err(Unavailable::redis)
}
