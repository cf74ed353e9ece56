//! Spans of what the sinks are asked, by OpenTelemetry's conventions for databases.
//!
//! Promises: a span is part of the trace of what is written, and never begins one; it names tables
//! and counts, no rows and no keys.

use std::time::SystemTime;

use runtime::trace::{self, KeyValue, Link, SpanBuilder, SpanKind};
use tokio_postgres::{Error, Row};

use crate::Unavailable;
use crate::sql_error::unavailable;

/// Writes `rows` rows into a table in a span of their own.
pub(crate) async fn insert<T>(
    table: &'static str,
    rows: usize,
    writing: impl Future<Output = Result<Result<T, Error>, Unavailable>>,
) -> Result<Result<T, Error>, Unavailable> {
    let span = trace::child(|| {
        SpanBuilder::from_name(format!("INSERT {table}"))
            .with_kind(SpanKind::Client)
            .with_attributes([
                KeyValue::new("db.system.name", "postgresql"),
                KeyValue::new("db.operation.name", "INSERT"),
                KeyValue::new("db.collection.name", table),
                KeyValue::new("wegweiser.rows", as_i64(rows)),
            ])
    });
    let written = span.of(writing).await;
    match &written {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            let code = error.code().map_or("connection", |code| code.code());
            span.note(|| KeyValue::new("db.response.status_code", code.to_owned()));
            span.failed(code, &unavailable(error).reason);
        }
        Err(away) => span.failed("unavailable", away),
    }
    written
}

/// Most commands of one statement that tell in their traces that they moved.
const MOVED_MAX: usize = 64;

/// Tells of commands that a statement moved, each in the trace that ordered it, with a link to what
/// it was moved with. `rows` have its `traceparent` second and its state third.
pub(crate) fn moved(rows: &[Row], began: SystemTime) {
    if !trace::is_on() {
        return;
    }
    let with = trace::current().map(Link::with_context);
    for row in rows.iter().take(MOVED_MAX) {
        let origin = row.get::<_, Option<&str>>(1).and_then(trace::origin);
        let Some(origin) = origin else { continue };
        let state: &str = row.get(2);
        drop(trace::after(&origin, || {
            SpanBuilder::from_name("UPDATE commands")
                .with_kind(SpanKind::Client)
                .with_start_time(began)
                .with_links(with.iter().cloned().collect())
                .with_attributes([
                    KeyValue::new("db.system.name", "postgresql"),
                    KeyValue::new("db.operation.name", "UPDATE"),
                    KeyValue::new("db.collection.name", "commands"),
                    KeyValue::new("wegweiser.command.state", state.to_owned()),
                ])
        }));
    }
}

/// Has Redis do several commands at once in a span of their own.
pub(crate) async fn pipeline<T>(
    commands: usize,
    asking: impl Future<Output = Result<T, Unavailable>>,
) -> Result<T, Unavailable> {
    let span = trace::child(|| {
        SpanBuilder::from_name("PIPELINE").with_kind(SpanKind::Client).with_attributes([
            KeyValue::new("db.system.name", "redis"),
            KeyValue::new("db.operation.name", "PIPELINE"),
            KeyValue::new("db.operation.batch.size", as_i64(commands)),
        ])
    });
    let asked = span.of(asking).await;
    if let Err(away) = &asked {
        span.failed("unavailable", away);
    }
    asked
}

fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
