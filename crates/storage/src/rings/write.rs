//! Writing into rings.
//!
//! The common case asks as little of Redis as can be: per ring and batch one LPUSH. Its answer, how
//! long the list is now, says what is left to do: a list that has grown is cut, a new one is given
//! its life, and every other's life is renewed once a while. Points that may already be there (a
//! redelivery, a repeated write) or may belong further back (sent late, or very many at once) are
//! merged in time order instead.
//!
//! Promises: a ring that holds a point of an acknowledged message has a life and a bounded length.
//! A kill before that leaves messages that come again, and those are merged, which does both.

use std::fmt::Write as _;
use std::sync::PoisonError;
use std::time::Instant;

use protocol::{DeviceId, MessageNumber, MetricPoint, MetricType, Reject, UnixMillis};
use redis::{Cmd, Pipeline, RedisError, RedisResult, Value};

use super::{Rings, SLACK_SHARE};
use crate::outcome::{Committed, Unavailable, Written};
use crate::{DeviceSession, NumberRun, merge, runs};

/// A point that took longer than this from the device to the broker may have been sent before.
const LATE_AFTER_MS: i64 = 60_000;
/// A batch with more of a ring's points than this share of it is merged.
const DEEP_SHARE: u32 = 8;
/// A list is cut when it is longer by this share of the ring than what it keeps.
const CUT_SHARE: u32 = 8;
/// About as long as a point is in a list.
const ELEMENT_BYTES: usize = 48;

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

/// One ring's points within one batch, in time order.
struct Ring<'a> {
    /// Their places in the batch.
    places: &'a [usize],
    device: DeviceId,
    metric: &'a MetricType,
    points: Vec<&'a MetricPoint>,
    careful: bool,
}

impl Rings {
    /// Writes a batch; the answers stand in the order of the points.
    ///
    /// # Errors
    /// Redis is away or ill. Some points may have been written: say `repeated` the next time.
    pub async fn write(&self, writes: &[RingWrite<'_>]) -> Result<Vec<Written>, Unavailable> {
        let order = by_ring(writes);
        let rings = self.rings(writes, &order);
        let mut pipeline = Pipeline::with_capacity(rings.len() + 1);
        let any_careful = rings.iter().any(|ring| ring.careful);
        if any_careful {
            merge::load(&mut pipeline);
        }
        let mut key = String::new();
        for ring in &rings {
            self.write_key(&mut key, ring.device, ring.metric.as_str());
            if ring.careful {
                self.merge(&mut pipeline, &key, &ring.points);
            } else {
                pipeline.add_command(push(&key, &ring.points));
            }
        }
        let mut replies = self.run(&mut pipeline).await?.into_iter();
        if any_careful {
            let _ = confirm(replies.next())?;
        }
        let mut written: Vec<Written> = Vec::new();
        written.resize_with(writes.len(), || Ok(Committed::confirmed()));
        let mut after = self.look_after(&rings, replies, &mut written)?;
        self.add_note(&mut after, &numbers(writes, &written));
        if !after.is_empty() {
            self.all(&mut after).await?;
        }
        Ok(written)
    }

    fn rings<'a>(&self, writes: &[RingWrite<'a>], order: &'a [usize]) -> Vec<Ring<'a>> {
        let deep = (self.max_points / DEEP_SHARE).max(1) as usize;
        let mut rings = Vec::with_capacity(order.len());
        for places in order.chunk_by(|a, b| ring_of(&writes[*a]) == ring_of(&writes[*b])) {
            let mut points: Vec<&MetricPoint> = Vec::with_capacity(places.len());
            let mut careful = places.len() > deep;
            for place in places {
                let write = &writes[*place];
                let late = write.received.since(write.point.at) > LATE_AFTER_MS;
                careful |= write.repeated || late;
                if points.last().is_none_or(|last| last.at != write.point.at) {
                    points.push(write.point);
                }
            }
            let (device, metric) = ring_of(&writes[places[0]]);
            rings.push(Ring { places, device, metric, points, careful });
        }
        rings
    }

    /// Takes the answers, and says what is still to be done: lists to cut, lives to renew.
    fn look_after(
        &self,
        rings: &[Ring<'_>],
        mut replies: impl Iterator<Item = RedisResult<Value>>,
        written: &mut [Written],
    ) -> Result<Pipeline, Unavailable> {
        let kept = self.max_points + self.max_points / SLACK_SHARE;
        let longest = i64::from(kept + self.max_points / CUT_SHARE);
        let (mut after, mut key, now) = (Pipeline::new(), String::new(), Instant::now());
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        for ring in rings {
            let length = match confirm(replies.next())? {
                Ok(length) => length,
                Err(reject) => {
                    for place in ring.places {
                        written[*place] = Err(reject.clone());
                    }
                    continue;
                }
            };
            if ring.careful {
                continue;
            }
            let is_new = i64::try_from(ring.points.len()) == Ok(length);
            let (cut, renew) = (length > longest, lives.is_due(ring.device, ring.metric, now));
            if !(cut || renew || is_new) {
                continue;
            }
            self.write_key(&mut key, ring.device, ring.metric.as_str());
            if cut {
                after.cmd("LTRIM").arg(&key).arg(0).arg(kept - 1);
            }
            if renew || is_new {
                after.cmd("EXPIRE").arg(&key).arg(lives.seconds());
            }
        }
        Ok(after)
    }

    fn merge(&self, pipeline: &mut Pipeline, key: &str, points: &[&MetricPoint]) {
        let mut newest_first = Vec::with_capacity(points.len());
        for point in points.iter().rev() {
            let mut element = String::with_capacity(ELEMENT_BYTES);
            write_element(&mut element, point);
            newest_first.push(element);
        }
        let life = self.lives.lock().unwrap_or_else(PoisonError::into_inner).seconds();
        merge::merge(pipeline, &self.merge_sha, key, self.max_points, life, &newest_first);
    }
}

/// The places of a batch's points, those of one ring together and in time order.
fn by_ring(writes: &[RingWrite<'_>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..writes.len()).collect();
    order.sort_by_key(|place| (ring_of(&writes[*place]), writes[*place].point.at));
    order
}

const fn ring_of<'a>(write: &RingWrite<'a>) -> (DeviceId, &'a MetricType) {
    (write.point.device, &write.point.metric)
}

fn push(key: &str, points: &[&MetricPoint]) -> Cmd {
    let mut element = String::with_capacity(ELEMENT_BYTES);
    let bytes = key.len() + (points.len() + 1) * ELEMENT_BYTES;
    let mut push = Cmd::with_capacity(points.len() + 2, bytes);
    push.arg("LPUSH").arg(key);
    for point in points {
        element.clear();
        write_element(&mut element, point);
        push.arg(&element);
    }
    push
}

/// `Ok(Ok(_))`: the number that Redis answered with. `Ok(Err(_))`: this ring alone cannot be
/// written. `Err`: Redis cannot be written.
fn confirm(reply: Option<RedisResult<Value>>) -> Result<Result<i64, Reject>, Unavailable> {
    match reply {
        Some(Ok(Value::Int(number))) => Ok(Ok(number)),
        Some(Ok(_)) => Ok(Ok(0)),
        Some(Err(error)) if is_wrong_type(&error) => Ok(Err(Reject::RowRejected(
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
fn write_element(text: &mut String, point: &MetricPoint) {
    const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;
    let (at, value) = (point.at.get(), point.value);
    // Writing to a String cannot fail.
    let _ = if value.fract() == 0.0 && value.abs() < EXACT_BELOW {
        write!(text, r#"{{"timestamp":{at},"value":{value:.0}}}"#)
    } else {
        write!(text, r#"{{"timestamp":{at},"value":{value:?}}}"#)
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RingPoint;

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
            let mut element = String::new();
            write_element(&mut element, &point);
            let read: RingPoint = serde_json::from_str(&element).unwrap();
            assert_eq!(read, RingPoint { timestamp: point.at, value });
        }
    }
}
