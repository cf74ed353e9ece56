//! `wegweiser user link`: lets the first admin in at the page.
//!
//! Promises: the link is printed and kept nowhere; it is good once and for 15 minutes. Refuses: where
//! somebody can sign in already.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use storage::LinkToken;

use crate::{environment, output};

#[derive(Debug, Args)]
pub(super) struct Link {
    /// Where people find the page, such as `https://wegweiser.example`.
    #[arg(long, env = "WEGWEISER_WEB_URL")]
    url: String,
}

pub(super) async fn run(command: &Link) -> anyhow::Result<ExitCode> {
    let url = command.url.trim_end_matches('/');
    if !url.starts_with("https://") && !url.starts_with("http://") {
        bail!("--url is {url:?}; give the page's address, such as https://wegweiser.example");
    }
    let link = LinkToken::generate();
    let made = environment::records()?.make_first_link(&link).await;
    if !made.context("making the link")? {
        bail!("somebody can sign in already: see wegweiser user list, or run: wegweiser user add");
    }
    output::note("this link lets the first admin in, once, within 15 minutes:");
    output::text(&format!("{url}/#link={}", link.expose()))?;
    Ok(ExitCode::SUCCESS)
}
