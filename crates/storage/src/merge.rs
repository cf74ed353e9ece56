//! The careful way into a ring, for points that may be there already or may be out of order.
//!
//! A script, so that no other write comes between reading the ring and writing it.

use redis::Pipeline;

const SCRIPT: &str = include_str!("merge.lua");

/// Adds the script's upload; once a pipeline suffices, and a restarted server has it again.
pub(crate) fn load(pipeline: &mut Pipeline) {
    pipeline.cmd("SCRIPT").arg("LOAD").arg(SCRIPT);
}

/// Adds one ring's merge.
pub(crate) fn merge(
    pipeline: &mut Pipeline,
    sha: &str,
    key: &str,
    max_points: u32,
    ttl_seconds: u64,
    newest_first: &[String],
) {
    pipeline.cmd("EVALSHA").arg(sha).arg(1).arg(key).arg(max_points).arg(ttl_seconds);
    for element in newest_first {
        pipeline.arg(element);
    }
}

/// The name under which the server knows the script.
pub(crate) fn sha() -> String {
    redis::Script::new(SCRIPT).get_hash().to_owned()
}
