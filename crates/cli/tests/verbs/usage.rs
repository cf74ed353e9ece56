//! Wrong usage and wrong settings: all at once, with exit code 64.

use crate::support::{DEVICE, Place, stderr, stdout};

#[test]
fn every_mistake_in_the_settings_is_told_at_once() {
    let mut place = Place::empty();
    place.set("METRICS_REDIS_PORT", "x");
    place.set("METRICS_MAX_POINTS", "0");
    let output = place.wegweiser(&["metrics", "get", DEVICE, "cpu_percent"]);
    assert_eq!(output.status.code(), Some(64));
    let said = stderr(&output);
    assert!(said.contains("METRICS_REDIS_PORT: is \"x\""), "{said}");
    assert!(said.contains("METRICS_MAX_POINTS: is \"0\""), "{said}");
}

#[test]
fn wrong_usage_is_never_taken_for_a_difference() {
    let place = Place::empty();
    for arguments in [
        &[][..],
        &["accounts", "plan", "--wrong"][..],
        &["metrics", "get", "not-a-uuid", "cpu_percent"][..],
        &["metrics", "get", DEVICE, "CPU"][..],
        &["devices", "--online", "--offline"][..],
    ] {
        let output = place.wegweiser(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}", stderr(&output));
    }
    let bad = stderr(&place.wegweiser(&["metrics", "get", "not-a-uuid", "cpu_percent"]));
    assert!(bad.contains("is not a UUID; give it as 8-4-4-4-12"), "{bad}");
}

#[test]
fn the_settings_are_printed_as_a_markdown_table() {
    let place = Place::empty();
    let flag = place.wegweiser(&["--settings"]);
    assert_eq!(flag.status.code(), Some(0), "{}", stderr(&flag));
    assert!(stdout(&flag).contains("\n| `METRICS_MAX_POINTS` | `300` | points |"));
    assert_eq!(stdout(&place.wegweiser(&["settings"])), stdout(&flag));
}
