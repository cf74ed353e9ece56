//! Times for people: exact (RFC 3339, UTC, milliseconds) and as an age.

use protocol::UnixMillis;
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

/// Three decimals always, so that columns line up.
const RFC_3339_MILLISECONDS: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const NANOSECONDS_A_MILLISECOND: i128 = 1_000_000;

/// `2026-09-24T06:14:30.084Z`; the bare number where no calendar has that time.
pub(crate) fn exact(at: UnixMillis) -> String {
    let nanoseconds = i128::from(at.get()) * NANOSECONDS_A_MILLISECOND;
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds)
        .ok()
        .and_then(|time| time.format(RFC_3339_MILLISECONDS).ok())
        .unwrap_or_else(|| at.get().to_string())
}

/// `12s`, `4m 10s`, `3h 2m`, `5d 7h`: how long before `now`. What lies ahead is `0s` old.
pub(crate) fn age(at: UnixMillis, now: UnixMillis) -> String {
    let seconds = now.since(at).max(0) / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if days > 0 {
        return format!("{days}d {}h", hours % 24);
    }
    if hours > 0 {
        return format!("{hours}h {}m", minutes % 60);
    }
    if minutes > 0 {
        return format!("{minutes}m {}s", seconds % 60);
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_exact_to_the_millisecond() {
        assert_eq!(exact(UnixMillis::new(1_790_230_470_084)), "2026-09-24T06:14:30.084Z");
        assert_eq!(exact(UnixMillis::new(1_790_230_470_000)), "2026-09-24T06:14:30.000Z");
        assert_eq!(exact(UnixMillis::new(i64::MAX)), i64::MAX.to_string());
    }

    #[test]
    fn an_age_names_its_two_largest_units() {
        let now = UnixMillis::new(1_790_230_470_084);
        for (seconds, text) in
            [(-5, "0s"), (12, "12s"), (250, "4m 10s"), (10_980, "3h 3m"), (457_300, "5d 7h")]
        {
            assert_eq!(age(UnixMillis::new(now.get() - seconds * 1_000), now), text);
        }
    }
}
