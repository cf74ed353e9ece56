//! Spans of what the sinks are asked, by OpenTelemetry's conventions for databases.
//!
//! Promises: a span is part of the trace of what is written, and never begins one; it names tables
//! and counts, no rows and no keys.

use runtime::trace::{self, KeyValue, SpanBuilder, SpanKind};
use tokio_postgres::Error;

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
