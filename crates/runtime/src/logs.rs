//! Logs: one line an event, human or JSON, to standard error and, where asked for, to a file.
//!
//! Promises: what is logged can change while the program runs; lines of one kind are bounded in
//! number, and what is left out is counted. Refuses: to end the program because a log cannot be
//! written.

mod filter;
mod flood;
mod journal;
mod settings;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry_sdk::trace::SdkTracer;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing_appender::rolling::RollingFileAppender;
use tracing_subscriber::fmt::format;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, reload};

use crate::trace;
pub use filter::LogFilter;
use flood::FloodLimit;
use settings::LogFile;
pub(crate) use settings::LogSettings;
#[cfg(test)]
pub(crate) use settings::parse;
pub use settings::{
    LOG, LOG_BURST, LOG_FILE, LOG_FILES_KEPT, LOG_FILTER_FILE, LOG_FORMAT, LOG_ROTATION,
};

/// How often the filter's file is looked at, and told what was left out.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What looks after the logs while the program runs.
#[derive(Debug)]
pub(crate) struct Logs {
    pub(crate) filter: LogFilter,
    stop: CancellationToken,
    keeping: JoinHandle<()>,
}

impl Logs {
    /// Tells the last of what was left out.
    pub(crate) async fn finish(self) {
        self.stop.cancel();
        // It ends at once, and has nothing to say.
        let _ = self.keeping.await;
    }
}

/// Starts logging and, with a tracer, has the spans that are meant for traces leave by it. Once,
/// within tokio.
///
/// # Errors
/// Logging was started before, the log file's folder cannot be used, or there is no signal handler.
pub(crate) fn start(settings: &LogSettings, tracer: Option<SdkTracer>) -> anyhow::Result<Logs> {
    let filter = settings::parse(&settings.filter).map_err(anyhow::Error::msg)?;
    let (filter, handle) = reload::Layer::new(filter);
    let file = settings.file.as_ref().map(|file| to_file(file, settings.json)).transpose()?;
    let flood = FloodLimit::new(settings.burst_per_s);
    let lines = flood.clone().and_then(to_standard_error(settings.json)).and_then(file);
    let logging = tracing_subscriber::registry().with(lines.with_filter(filter));
    match tracer {
        // Not a layer that does nothing: with one, what nobody wants would be asked for each time.
        None => logging.try_init()?,
        Some(tracer) => logging.with(trace::layer(tracer)).try_init()?,
    }
    let (filter, stop) = (LogFilter::new(handle, &settings.filter), CancellationToken::new());
    let watched = match &settings.filter_file {
        Some(path) => Some((path.clone(), HangUps::listen()?)),
        None => None,
    };
    let keeper = Keeper { flood, filter: filter.clone(), refused: None };
    let keeping = tokio::spawn(keeper.run(watched, stop.clone()));
    Ok(Logs { filter, stop, keeping })
}

type Lines<S> = Box<dyn Layer<S> + Send + Sync>;

fn to_standard_error<S>(json: bool) -> Lines<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    match (json, journal::is_there()) {
        (true, false) => lines.json().flatten_event(true).boxed(),
        (false, false) => lines.boxed(),
        (true, true) => {
            let form = format().json().flatten_event(true).without_time();
            lines.json().event_format(journal::WithPriority(form)).boxed()
        }
        (false, true) => {
            let form = format().with_ansi(false).without_time();
            lines.event_format(journal::WithPriority(form)).boxed()
        }
    }
}

fn to_file<S>(file: &LogFile, json: bool) -> anyhow::Result<Lines<S>>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let dotted =
        if file.extension.is_empty() { String::new() } else { format!(".{}", file.extension) };
    let named = || format!("logging to {} (WEGWEISER_LOG_FILE)", file.folder.display());
    // The appender would look for old files in it first, and print that it is not there.
    std::fs::create_dir_all(&file.folder).with_context(named)?;
    let appender = RollingFileAppender::builder()
        .rotation(file.rotation.clone())
        .filename_prefix(&file.stem)
        .filename_suffix(&file.extension)
        .max_log_files(file.kept)
        .latest_symlink(format!("{}{dotted}", file.stem))
        .build(&file.folder)
        .with_context(named)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(appender).with_ansi(false);
    Ok(if json { lines.json().flatten_event(true).boxed() } else { lines.boxed() })
}

/// Follows the filter's file, and tells what was left out.
struct Keeper {
    flood: FloodLimit,
    filter: LogFilter,
    /// What the file said that could not be used; told once.
    refused: Option<String>,
}

impl Keeper {
    async fn run(mut self, mut watched: Option<(PathBuf, HangUps)>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Some((path, _)) = &watched {
                self.look(path);
            }
            self.flood.tell();
            tokio::select! {
                _ = ticks.tick() => {}
                () = asked(&mut watched) => {}
                () = stop.cancelled() => return self.flood.tell(),
            }
        }
    }

    fn look(&mut self, path: &Path) {
        let refused = self.filter.follow(path).err();
        if refused.is_some() && self.refused != refused {
            let (file, problem) = (path.display(), refused.as_deref());
            tracing::warn!(%file, problem, "the log's filter stays as it is");
        }
        self.refused = refused;
    }
}

async fn asked(watched: &mut Option<(PathBuf, HangUps)>) {
    match watched {
        Some((_, hang_ups)) => hang_ups.next().await,
        None => std::future::pending().await,
    }
}

/// Requests to look at once.
struct HangUps {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

impl HangUps {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if self.signal.recv().await.is_some() {
            return;
        }
        std::future::pending().await
    }
}
