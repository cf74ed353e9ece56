//! A progress bar on standard error, where that is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Draws how far a verb has come; nothing where nobody watches.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Begins; without a total it only counts.
    pub(crate) fn start(verb: &'static str, total: Option<u64>) -> Self {
        let template = match total {
            Some(_) => "{msg} {bar:40} {pos}/{len} {per_sec} {eta}",
            None => "{msg} {pos} {per_sec}",
        };
        // Draws nothing where standard error is no terminal.
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(verb);
        Self(bar)
    }

    /// So many more are done.
    pub(crate) fn add(&self, count: usize) {
        self.0.inc(u64::try_from(count).unwrap_or_default());
    }

    /// Does what prints, while the bar is out of its way.
    pub(crate) fn beside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }

    /// Leaves the line to the answer.
    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}
