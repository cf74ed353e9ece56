//! Subject and payload into the decoder, guided by coverage: `make fuzz`.
//!
//! An input is a subject, a line end and a payload. Demanded: any bytes get an answer, and what is
//! taken as an event keeps what the sinks rely on.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::{DeviceSubject, Event, UnixMillis, decode};

const NOW: UnixMillis = UnixMillis::new(1_790_000_000_000);

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (subject, payload) = input.split_at(end);
    let Ok(subject) = std::str::from_utf8(subject) else { return };
    let Ok(subject) = subject.parse::<DeviceSubject>() else { return };
    let payload = payload.get(1..).unwrap_or_default();
    match decode(&subject, payload, NOW) {
        Ok((Event::Metric(point), _)) => assert!(point.value.is_finite()),
        Ok((Event::Monitoring(report), _)) => is_json(&report.report),
        Ok((Event::Heartbeat(_) | Event::Response(_), _)) => {}
        // Its text becomes a header of the dead letter.
        Err(reject) => assert!(!reject.to_string().is_empty()),
    }
});

fn is_json(text: &str) {
    assert!(serde_json::from_str::<serde_json::Value>(text).is_ok());
}
