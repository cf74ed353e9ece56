//! Redis: reachable, its clock, and whether there are rings.

use storage::{RedisSettings, Rings};

use super::finding::Finding;
use super::offset::Stopwatch;
use super::{answer, with_sources};

/// Rings are counted no further than this.
const RINGS_COUNTED_MAX: usize = 10_000;

pub(super) async fn check(settings: &RedisSettings) -> Vec<Finding> {
    let RedisSettings { host, port, database, .. } = settings;
    let remedy = format!(
        "redis-cli -h {host} -p {port} -n {database} ping; start it, or correct METRICS_REDIS_HOST \
         and METRICS_REDIS_PORT"
    );
    let rings = match Rings::open(settings) {
        Ok(rings) => rings,
        Err(error) => return vec![Finding::fail("redis", with_sources(&error), remedy)],
    };
    let (mut findings, rings) =
        tokio::join!(reached(settings, &rings, &remedy), count(settings, &rings, &remedy));
    findings.push(rings);
    findings
}

async fn reached(settings: &RedisSettings, rings: &Rings, remedy: &str) -> Vec<Finding> {
    // The first question also makes the connection, which would blur the clock's.
    if let Err(reason) = answer(rings.server_time()).await {
        return vec![Finding::fail("redis", reason, remedy)];
    }
    let watch = Stopwatch::start();
    let clock = match answer(rings.server_time()).await {
        Ok(time) => watch.finding("redis clock", time),
        Err(reason) => Finding::fail("redis clock", reason, remedy),
    };
    let RedisSettings { host, port, database, .. } = settings;
    vec![Finding::ok("redis", format!("{host}:{port}, database {database}")), clock]
}

async fn count(settings: &RedisSettings, rings: &Rings, remedy: &str) -> Finding {
    const CHECK: &str = "rings";
    match answer(rings.count(RINGS_COUNTED_MAX)).await {
        Ok(0) => Finding::warn(
            CHECK,
            format!("none: no metric was stored within {} s", settings.ttl.as_secs()),
            "wegweiser devices --online; wegweiser streams status",
        ),
        Ok(RINGS_COUNTED_MAX) => Finding::ok(CHECK, format!("{RINGS_COUNTED_MAX} or more")),
        Ok(count) => Finding::ok(CHECK, count.to_string()),
        Err(reason) => Finding::fail(CHECK, reason, remedy),
    }
}
