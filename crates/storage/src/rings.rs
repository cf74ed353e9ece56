//! Rings: the newest points of each metric of each device, for live charts.
//!
//! The common case is coalesced: per ring and batch one LPUSH, one LTRIM, one EXPIRE, all in one
//! pipeline. Points that may already be there (a redelivery, a repeated write) or may belong
//! further back (sent late, or very many at once) are merged in time order instead. Readers sort
//! and drop repeats too, since replicas may finish in any order.

mod scan;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use protocol::{DeviceId, MessageNumber, MetricPoint, MetricType, Reject, UnixMillis};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, ConnectionAddr, IntoConnectionInfo as _, Pipeline, RedisConnectionInfo, RedisError,
    RedisResult, TlsCertificates, Value,
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::outcome::{Committed, Unavailable, Written};
use crate::{DeviceSession, NumberRun, RedisSettings, merge, runs, traces};

/// How long a pipeline may take before Redis counts as away.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A point that took longer than this from the device to the broker may have been sent before.
const LATE_AFTER_MS: i64 = 60_000;
/// A batch with more of a ring's points than this share of it is merged.
const DEEP_SHARE: u32 = 8;
/// The list keeps this share more than the ring, at its old end: a receiver that writes an older
/// batch after another's newer one then pushes out what nobody is shown.
const SLACK_SHARE: u32 = 4;
/// Elements that are read beside those that are shown: receivers may have written in another order.
const SWAPPED_POINTS: usize = 8;

/// A point on its way into its ring.
#[derive(Clone, Copy, Debug)]
pub struct RingWrite<'a> {
    /// The point.
    pub point: &'a MetricPoint,
    /// Its number, where its device numbered it.
    pub number: Option<MessageNumber>,
    /// When the broker took it.
    pub received: UnixMillis,
    /// Whether an earlier attempt may have written it.
    pub repeated: bool,
}

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
    ttl: Duration,
    merge_sha: String,
}

/// Points of one ring within one batch.
struct Group<'a> {
    writes: Vec<(usize, RingWrite<'a>)>,
    careful: bool,
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
            ttl: settings.ttl,
            merge_sha: merge::sha(),
        })
    }

    /// Key of one ring.
    #[must_use]
    pub fn key(&self, device: DeviceId, metric: &str) -> String {
        format!("{}:{device}:{metric}", self.prefix)
    }

    /// Writes a batch; the answers stand in the order of the points.
    ///
    /// # Errors
    /// Redis is away or ill. Some points may have been written: say `repeated` the next time.
    pub async fn write(&self, writes: &[RingWrite<'_>]) -> Result<Vec<Written>, Unavailable> {
        let groups = self.group(writes);
        let mut pipeline = Pipeline::with_capacity(groups.len() * 3 + 1);
        let any_careful = groups.values().any(|group| group.careful);
        if any_careful {
            merge::load(&mut pipeline);
        }
        for ((device, metric), group) in &groups {
            self.add(&mut pipeline, &self.key(*device, metric.as_str()), group);
        }
        let replies = self.run(&mut pipeline).await?;
        let mut replies = replies.into_iter();
        if any_careful {
            confirm(replies.next())?;
        }
        let mut written: Vec<Written> = Vec::new();
        written.resize_with(writes.len(), || Ok(Committed::confirmed()));
        for group in groups.values() {
            let commands = if group.careful { 1 } else { 3 };
            let mut refusal = None;
            for _ in 0..commands {
                refusal = refusal.or(confirm(replies.next())?);
            }
            if let Some(reject) = refusal {
                for (index, _) in &group.writes {
                    written[*index] = Err(reject.clone());
                }
            }
        }
        self.note_points(&numbers(writes, &written)).await?;
        Ok(written)
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

    fn group<'a>(
        &self,
        writes: &[RingWrite<'a>],
    ) -> HashMap<(DeviceId, &'a MetricType), Group<'a>> {
        let mut groups: HashMap<(DeviceId, &MetricType), Group<'_>> = HashMap::new();
        let deep = (self.max_points / DEEP_SHARE).max(1) as usize;
        for (index, write) in writes.iter().enumerate() {
            let key = (write.point.device, &write.point.metric);
            let group =
                groups.entry(key).or_insert_with(|| Group { writes: Vec::new(), careful: false });
            let late = write.received.since(write.point.at) > LATE_AFTER_MS;
            group.careful |= write.repeated || late || group.writes.len() >= deep;
            group.writes.push((index, *write));
        }
        groups
    }

    fn add(&self, pipeline: &mut Pipeline, key: &str, group: &Group<'_>) {
        let mut points: Vec<&MetricPoint> =
            group.writes.iter().map(|(_, write)| write.point).collect();
        points.sort_by_key(|point| point.at);
        points.dedup_by_key(|point| point.at);
        let ttl_seconds = self.ttl.as_secs();
        if group.careful {
            let newest_first: Vec<String> =
                points.iter().rev().map(|point| element(point)).collect();
            let (sha, most) = (&self.merge_sha, self.max_points);
            merge::merge(pipeline, sha, key, most, ttl_seconds, &newest_first);
            return;
        }
        pipeline.cmd("LPUSH").arg(key);
        for point in points {
            pipeline.arg(element(point));
        }
        let most = self.max_points + self.max_points / SLACK_SHARE;
        pipeline.cmd("LTRIM").arg(key).arg(0).arg(most - 1);
        pipeline.cmd("EXPIRE").arg(key).arg(ttl_seconds);
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

/// `Ok(Some(_))`: this ring alone cannot be written. `Err`: Redis cannot be written.
fn confirm(reply: Option<RedisResult<Value>>) -> Result<Option<Reject>, Unavailable> {
    match reply {
        Some(Ok(_)) => Ok(None),
        Some(Err(error)) if is_wrong_type(&error) => Ok(Some(Reject::RowRejected(
            "its ring's key holds something that is no list; delete that key".into(),
        ))),
        Some(Err(error)) => Err(Unavailable::redis(error)),
        None => Err(Unavailable::redis("it answered fewer commands than were sent")),
    }
}

/// The numbers of what was written.
fn numbers(writes: &[RingWrite<'_>], written: &[Written]) -> Vec<NumberRun> {
    let mut numbers = Vec::with_capacity(writes.len());
    for (write, written) in writes.iter().zip(written) {
        if let (Some(number), Ok(_)) = (write.number, written) {
            let MetricPoint { tenant, device, .. } = *write.point;
            let of = DeviceSession { tenant, device, session: number.session };
            numbers.push((of, number.counter));
        }
    }
    runs(numbers)
}

fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
        || error.detail().is_some_and(|detail| detail.contains("WRONGTYPE"))
}

/// `{"timestamp":…,"value":…}`, whole numbers without a fraction.
fn element(point: &MetricPoint) -> String {
    const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;
    let mut text = String::with_capacity(48);
    let (at, value) = (point.at.get(), point.value);
    // Writing to a String cannot fail.
    let _ = if value.fract() == 0.0 && value.abs() < EXACT_BELOW {
        write!(text, r#"{{"timestamp":{at},"value":{value:.0}}}"#)
    } else {
        write!(text, r#"{{"timestamp":{at},"value":{value:?}}}"#)
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_json_whatever_the_value() {
        for value in [0.0, -0.0, 12.5, 1e300, -1e-300, 123_456_789.0, 0.1 + 0.2] {
            let point = MetricPoint {
                tenant: "11111111-1111-4111-8111-111111111111".parse().unwrap(),
                device: "22222222-2222-4222-8222-222222222222".parse().unwrap(),
                metric: "uptime".parse().unwrap(),
                at: UnixMillis::new(1_790_000_000_000),
                value,
            };
            let read: RingPoint = serde_json::from_str(&element(&point)).unwrap();
            assert_eq!(read, RingPoint { timestamp: point.at, value });
        }
    }
}
