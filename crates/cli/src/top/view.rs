//! What was seen as tables, the same on the screen and in text.

use super::look::Snapshot;
use crate::output::Table;

/// How full a stream may be before it is pointed out, in percent.
const FULL_FROM_PERCENT: u64 = 85;
/// Messages that are younger are under way rather than behind.
const BEHIND_FROM_MS: i64 = 5_000;

/// A table.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) headings: &'static [&'static str],
    pub(super) rows: Vec<Row>,
}

/// A line of a table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) cells: Vec<String>,
    /// Somebody should look at it.
    pub(super) bad: bool,
}

/// The line above all tables.
pub(super) fn headline(seen: &Snapshot) -> String {
    let sum = |rates: Vec<Option<f64>>| {
        let known: Option<Vec<f64>> = rates.into_iter().collect();
        known.map_or_else(|| "-".to_owned(), |rates| rate(Some(rates.iter().sum())))
    };
    let arriving = |stream: &str| {
        !["METRICS_DEFERRED", "COMMANDS", "ADVISORIES", "DEAD_LETTERS"].contains(&stream)
    };
    let into = seen.streams.iter().filter(|look| arriving(look.stream));
    let into = sum(into.map(|look| look.in_per_s).collect());
    let out = sum(seen.consumers.iter().map(|look| look.out_per_s).collect());
    let lag: u64 = seen.consumers.iter().map(|look| look.waiting + look.held).sum();
    let behind = seen.consumers.iter().map(|look| look.behind_ms).max().unwrap_or(0);
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let letters = number(seen.dead_letters.and_then(|letters| i64::try_from(letters).ok()));
    format!(
        "in {into}/s  out {out}/s  lag {lag}  behind {}  dead letters {letters}  devices online {} of {}",
        age(behind),
        number(seen.devices_online),
        number(seen.devices_known),
    )
}

/// Every table.
pub(super) fn sections(seen: &Snapshot) -> Vec<Section> {
    vec![streams(seen), consumers(seen), receivers(seen), sinks(seen)]
}

/// Everything as text.
pub(super) fn text(seen: &Snapshot) -> String {
    let mut parts = vec![headline(seen)];
    for section in sections(seen) {
        let mut table = Table::new(section.headings);
        for row in section.rows {
            table.row(row.cells);
        }
        parts.push(table.render());
    }
    parts.extend(seen.errors.iter().map(|error| format!("error: {error}")));
    parts.join("\n\n")
}

fn streams(seen: &Snapshot) -> Section {
    let rows = seen.streams.iter().map(|look| {
        let full = look.limit_bytes.and_then(|limit| (look.bytes * 100).checked_div(limit));
        let copies = format!("{}/{}", look.copies_current, look.copies);
        Row {
            cells: vec![
                look.stream.to_owned(),
                look.messages.to_string(),
                rate(look.in_per_s),
                bytes(look.bytes),
                full.map_or_else(|| "-".to_owned(), |percent| format!("{percent}%")),
                copies,
            ],
            bad: full.is_some_and(|percent| percent >= FULL_FROM_PERCENT)
                || look.copies_current < look.copies
                || (look.stream == "DEAD_LETTERS" && look.in_per_s.is_some_and(|rate| rate > 0.0)),
        }
    });
    let headings = &["STREAM", "MESSAGES", "IN/S", "BYTES", "FULL", "COPIES"];
    Section { headings, rows: rows.collect() }
}

fn consumers(seen: &Snapshot) -> Section {
    let rows = seen.consumers.iter().map(|look| {
        let nobody = look.pulls == 0 && look.held == 0;
        Row {
            cells: vec![
                format!("{}/{}", look.stream, look.consumer),
                look.waiting.to_string(),
                look.held.to_string(),
                rate(look.out_per_s),
                age(look.behind_ms),
                look.redelivered.to_string(),
                if look.paused { "paused".to_owned() } else { look.pulls.to_string() },
            ],
            bad: nobody || look.paused || look.behind_ms >= BEHIND_FROM_MS,
        }
    });
    let headings = &["CONSUMER", "WAITING", "HELD", "OUT/S", "BEHIND", "AGAIN", "PULLS"];
    Section { headings, rows: rows.collect() }
}

fn receivers(seen: &Snapshot) -> Section {
    let rows = seen.receivers.iter().map(|look| {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
        Row {
            cells: vec![
                look.address.clone(),
                if look.ready { "yes" } else { "no" }.to_owned(),
                rate(look.done_per_s),
                number(look.held),
                number(look.parked),
                look.reason.clone().unwrap_or_default(),
            ],
            bad: !look.ready,
        }
    });
    let headings = &["RECEIVER", "READY", "DONE/S", "HELD", "PARKED", "WHY NOT"];
    Section { headings, rows: rows.collect() }
}

fn sinks(seen: &Snapshot) -> Section {
    let rows = seen.sinks.iter().map(|look| Row {
        cells: vec![
            look.sink.to_owned(),
            if look.up { "yes" } else { "no" }.to_owned(),
            look.answer_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms")),
            look.reason.clone().unwrap_or_default(),
        ],
        bad: !look.up,
    });
    let headings = &["SINK", "UP", "ANSWER", "WHY NOT"];
    Section { headings, rows: rows.collect() }
}

fn rate(per_s: Option<f64>) -> String {
    match per_s {
        None => "-".to_owned(),
        Some(rate) if rate >= 100.0 => format!("{rate:.0}"),
        Some(rate) => format!("{rate:.1}"),
    }
}

fn age(milliseconds: i64) -> String {
    match milliseconds {
        ..1_000 => format!("{milliseconds} ms"),
        1_000..120_000 => format!("{} s", milliseconds / 1_000),
        120_000..7_200_000 => format!("{} min", milliseconds / 60_000),
        _ => format!("{} h", milliseconds / 3_600_000),
    }
}

fn bytes(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    match bytes {
        ..KIB => format!("{bytes} B"),
        KIB..MIB => format!("{} KiB", bytes >> 10),
        MIB..GIB => format!("{} MiB", bytes >> 20),
        _ => format!("{}.{} GiB", bytes >> 30, (bytes % GIB) * 10 / GIB),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_as_long_as_people_read_them() {
        let rates = [None, Some(0.04), Some(12.34), Some(1_234.5)].map(rate);
        assert_eq!(rates, ["-", "0.0", "12.3", "1234"]);
        assert_eq!([0, 4_999, 119_999, 7_199_999].map(age), ["0 ms", "4 s", "119 s", "119 min"]);
        assert_eq!(
            [1_023, 1_024, 1 << 20, 3 << 29].map(bytes),
            ["1023 B", "1 KiB", "1 MiB", "1.5 GiB"]
        );
    }
}
