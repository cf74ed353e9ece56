//! Whose fault a failed statement is: the server's (try again) or the row's (park it).

use deadpool_postgres::PoolError;
use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use crate::Unavailable;

/// SQLSTATE classes that blame the data: data exception, integrity constraint violation.
const DATA_CLASSES: [&str; 2] = ["22", "23"];
/// SQLSTATE of `program_limit_exceeded` for one value, such as too large a jsonb.
const TOO_LARGE: [&str; 2] = ["54000", "54001"];

/// What the database says is wrong with a row, or `None` where the row is not to blame.
pub(crate) fn blames_row(error: &Error) -> Option<String> {
    let error = error.as_db_error()?;
    let state = error.code().code();
    let class = state.get(..2)?;
    if DATA_CLASSES.contains(&class) || TOO_LARGE.contains(&state) {
        return Some(describe(error));
    }
    None
}

/// The message and where it applies; never the detail, which repeats the row.
fn describe(error: &DbError) -> String {
    let place = error.constraint().or(error.column()).unwrap_or_default();
    format!("SQLSTATE {} {} {place}", error.code().code(), error.message()).trim_end().to_owned()
}

/// A failed statement as an outage.
pub(crate) fn unavailable(error: &Error) -> Unavailable {
    match error.as_db_error() {
        Some(error) => Unavailable::postgres(describe(error)),
        None => Unavailable::postgres(with_source(error)),
    }
}

/// No connection to be had.
pub(crate) fn no_connection(error: &PoolError) -> Unavailable {
    match error {
        PoolError::Backend(error) => unavailable(error),
        PoolError::Timeout(kind) => {
            Unavailable::postgres(format!("no connection within the time limit ({kind:?})"))
        }
        other => Unavailable::postgres(other),
    }
}

fn with_source(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
