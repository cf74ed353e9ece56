//! What is logged, in which form, and where to.

use std::path::{Path, PathBuf};

use tracing_appender::rolling::Rotation;
use tracing_subscriber::EnvFilter;

use crate::settings::{Reader, Setting};
use crate::trace;

/// What is logged.
pub const LOG: Setting = Setting {
    name: "WEGWEISER_LOG",
    // The broker's client repeats what our own lines say.
    default: Some("info,async_nats=warn"),
    unit: "a filter such as info or receiver=debug,info",
    help: "What is logged.",
};
/// How it is logged.
pub const LOG_FORMAT: Setting = Setting {
    name: "WEGWEISER_LOG_FORMAT",
    default: Some("human"),
    unit: "human or json",
    help: "Form of a log line.",
};
/// A filter that can change while the program runs.
pub const LOG_FILTER_FILE: Setting = Setting {
    name: "WEGWEISER_LOG_FILTER_FILE",
    default: Some("/etc/wegweiser/log-filter"),
    unit: "a path to a file",
    help: "A filter in this file stands above WEGWEISER_LOG; it is followed within 5 s while the program runs, or at once on SIGHUP. Without the file, or while it is empty, WEGWEISER_LOG holds.",
};
/// A file beside standard error.
pub const LOG_FILE: Setting = Setting {
    name: "WEGWEISER_LOG_FILE",
    default: None,
    unit: "a path such as /var/log/wegweiser/wegweiser.log",
    help: "Also logged to this file: it is a link to the newest of files that carry their time in their name.",
};
/// When a new file begins.
pub const LOG_ROTATION: Setting = Setting {
    name: "WEGWEISER_LOG_ROTATION",
    default: Some("daily"),
    unit: "hourly, daily or weekly",
    help: "How often a new log file begins, by UTC.",
};
/// How many files stay.
pub const LOG_FILES_KEPT: Setting = Setting {
    name: "WEGWEISER_LOG_FILES_KEPT",
    default: Some("14"),
    unit: "files",
    help: "Log files that stay; older ones are removed.",
};
/// How much of one kind is too much.
pub const LOG_BURST: Setting = Setting {
    name: "WEGWEISER_LOG_BURST_PER_S",
    default: Some("100"),
    unit: "lines a second",
    help: "Most lines a second from one place in the program; the rest is counted, and the count logged. 0: no bound.",
};

/// A log file that begins anew now and then.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogFile {
    pub(crate) folder: PathBuf,
    /// Its name up to the dot.
    pub(crate) stem: String,
    /// What stands behind the dot; may be empty.
    pub(crate) extension: String,
    pub(crate) rotation: Rotation,
    pub(crate) kept: usize,
}

/// What is logged, in which form, and where to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogSettings {
    pub(crate) filter: String,
    pub(crate) filter_file: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) file: Option<LogFile>,
    /// 0: no bound.
    pub(crate) burst_per_s: u32,
}

impl LogSettings {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        const MOST_FILES: usize = 3_650;
        let filter = reader.text(&LOG);
        if let Err(problem) = parse(&filter) {
            reader.mistake(&LOG, problem);
        }
        let rotation = match reader.one_of(&LOG_ROTATION, &["hourly", "daily", "weekly"]) {
            "hourly" => Rotation::HOURLY,
            "weekly" => Rotation::WEEKLY,
            _ => Rotation::DAILY,
        };
        let kept = reader.number(&LOG_FILES_KEPT, 1..=MOST_FILES);
        let path = reader.path(&LOG_FILE);
        let file = path.and_then(|path| {
            let file = log_file(&path, rotation, kept);
            if file.is_none() {
                reader.mistake(&LOG_FILE, format!("is {}; give {}", path.display(), LOG_FILE.unit));
            }
            file
        });
        Self {
            filter,
            filter_file: reader.path(&LOG_FILTER_FILE),
            json: reader.one_of(&LOG_FORMAT, &["human", "json"]) == "json",
            file,
            burst_per_s: reader.number(&LOG_BURST, 0..=1_000_000),
        }
    }
}

/// A filter, or what is wrong with it and what to give. Spans that are made for traces stand in no
/// line, whatever it says.
pub(crate) fn parse(filter: &str) -> Result<EnvFilter, String> {
    let told = EnvFilter::try_new(filter);
    let filter = told.map_err(|error| format!("is {filter:?}: {error}; give {}", LOG.unit))?;
    let no_traces = format!("{}=off", trace::TARGET).parse();
    Ok(filter.add_directive(no_traces.map_err(|error| format!("{}: {error}", trace::TARGET))?))
}

fn log_file(path: &Path, rotation: Rotation, kept: usize) -> Option<LogFile> {
    let text =
        |part: Option<&std::ffi::OsStr>| part.and_then(std::ffi::OsStr::to_str).map(str::to_owned);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Some(LogFile {
        folder: folder.unwrap_or(Path::new(".")).to_path_buf(),
        stem: text(path.file_stem())?,
        extension: text(path.extension()).unwrap_or_default(),
        rotation,
        kept,
    })
}
