//! How far a server's clock is from this machine's.

use protocol::UnixMillis;

use super::finding::Finding;

/// Offsets up to this are not worth a line of advice.
const UNREMARKABLE_MS: i64 = 1_000;
/// From here on, presence and late points are judged wrongly.
const HARMFUL_MS: i64 = 30_000;
const REMEDY: &str = "timedatectl set-ntp true";

/// Asks for a server's time and notes when we asked.
pub(super) struct Stopwatch {
    asked: UnixMillis,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self { asked: UnixMillis::now() }
    }

    /// The finding, with the answer just received.
    pub(super) fn finding(&self, check: &str, server: UnixMillis) -> Finding {
        judge(check, server, self.asked, UnixMillis::now())
    }
}

/// The server read its clock somewhere between the two of ours; half of that span is unknown.
fn judge(check: &str, server: UnixMillis, asked: UnixMillis, answered: UnixMillis) -> Finding {
    let uncertain_ms = (answered.since(asked).max(0) + 1) / 2;
    let offset_ms = server.since(asked) - uncertain_ms;
    let found = format!("{offset_ms:+} ms from here (±{uncertain_ms} ms)");
    let surely_ms = (offset_ms.abs() - uncertain_ms).max(0);
    if surely_ms > HARMFUL_MS {
        return Finding::fail(check, found, REMEDY);
    }
    if surely_ms > UNREMARKABLE_MS {
        return Finding::warn(check, found, REMEDY);
    }
    Finding::ok(check, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_surely_off_is_remarked() {
        let at = UnixMillis::new;
        for (server, level) in [
            (1_000_100, "ok"),
            (1_000_900, "ok"),
            (1_002_000, "warn"),
            (998_000, "warn"),
            (1_040_000, "fail"),
        ] {
            let finding = judge("clock", at(server), at(1_000_000), at(1_000_200));
            let json = serde_json::to_value(&finding).unwrap();
            assert_eq!(json["level"], level, "{server}");
        }
        let slow = judge("clock", at(1_005_000), at(1_000_000), at(1_010_000));
        assert_eq!(serde_json::to_value(&slow).unwrap()["found"], "+0 ms from here (±5000 ms)");
    }
}
