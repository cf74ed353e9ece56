//! Lines for the journal of systemd: it has the time and the priority of each line already, once it
//! is told the latter.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Whether standard error is the journal: `JOURNAL_STREAM` names it by device and inode.
pub(super) fn is_there() -> bool {
    let Ok(told) = std::env::var("JOURNAL_STREAM") else { return false };
    is_standard_error(&told)
}

#[cfg(unix)]
fn is_standard_error(told: &str) -> bool {
    rustix::fs::fstat(rustix::stdio::stderr())
        .is_ok_and(|file| told == format!("{}:{}", file.st_dev, file.st_ino))
}

#[cfg(not(unix))]
fn is_standard_error(_told: &str) -> bool {
    false
}

/// Puts the priority in front, as `SyslogLevelPrefix` reads it.
pub(super) struct WithPriority<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for WithPriority<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(context, writer, event)
    }
}
