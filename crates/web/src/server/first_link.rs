//! The first start: nobody is there who could sign in, so a link is printed that lets one admin in.
//!
//! Promises: on a terminal alone; what a service prints is kept, so there the log says how to get
//! one (`wegweiser user link`). Good once and for 15 minutes; none where there is a user. A start
//! later, as long as there is none, prints a new one.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use runtime::retry::Backoff;
use runtime::shutdown::CancellationToken;
use storage::{LinkToken, Scope, WalledRecords};

/// Delays between tries grow from the first to the longest, until Postgres is there and migrated.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LONGEST: Duration = Duration::from_secs(5);

/// Offers a link, where there is nobody, as soon as Postgres can say so.
pub(crate) async fn offer(url: String, walled: WalledRecords, stop: CancellationToken) {
    let mut retry = Backoff::new(RETRY_FIRST, RETRY_LONGEST);
    let records = walled.within(Scope::Nobody);
    let link = LinkToken::generate();
    loop {
        // What is wrong with Postgres stands in /readyz.
        match records.make_first_link(&link).await {
            Ok(true) if std::io::stdout().is_terminal() => return print(&url, &link),
            // This link is forgotten here, and so good for nobody.
            Ok(true) => {
                tracing::warn!(
                    "nobody can sign in yet; for a link that lets the first admin in, run: \
                     wegweiser user link"
                );
                return;
            }
            Ok(false) => return,
            Err(error) => tracing::debug!(%error, "cannot look for users yet"),
        }
        tokio::select! {
            () = tokio::time::sleep(retry.next_delay()) => {}
            () = stop.cancelled() => return,
        }
    }
}

fn print(url: &str, link: &LinkToken) {
    let text = format!(
        "Nobody can sign in yet. This link lets the first admin in, once, within 15 minutes:\n\
         {url}/#link={}\n",
        link.expose()
    );
    // With standard output closed there is nobody to tell; `wegweiser user add` does it as well.
    let _ = std::io::stdout().write_all(text.as_bytes());
    tracing::info!("nobody can sign in yet: a link for the first admin is on standard output");
}
