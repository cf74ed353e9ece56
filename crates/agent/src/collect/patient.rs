//! Waiting for a collector without being held up by it.
//!
//! Promises: a collector runs once at a time; one that is not done in time keeps its thread and
//! delays nobody, and its reading counts when it comes. Trouble is logged when it changes, and
//! stands in the [`Journal`] as long as it lasts.

use std::time::{Duration, Instant};

use protocol::UnixMillis;
use tokio::task::JoinHandle;

use super::{Collector, Journal};

type Boxed<R> = Box<dyn Collector<Reading = R>>;

/// A reading and when it was made.
pub(crate) struct Taken<R> {
    pub(crate) at: UnixMillis,
    pub(crate) reading: R,
}

struct Finished<R> {
    collector: Boxed<R>,
    result: anyhow::Result<Taken<R>>,
    took: Duration,
}

enum State<R> {
    Idle(Boxed<R>),
    Busy(JoinHandle<Finished<R>>),
    /// It panicked and is gone.
    Lost,
}

/// A collector that may take its time.
pub(crate) struct Patient<R> {
    name: String,
    state: State<R>,
    trouble: Option<String>,
    journal: Journal,
}

impl<R: Send + 'static> Patient<R> {
    pub(crate) fn new(name: &str, collector: Boxed<R>, journal: Journal) -> Self {
        Self { name: name.to_owned(), state: State::Idle(collector), trouble: None, journal }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Why the last call brought nothing, or what it left out.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// A reading, or `None` where the collector failed or is not done `within` the time.
    pub(crate) async fn collect(&mut self, within: Duration) -> Option<Taken<R>> {
        let mut running = match std::mem::replace(&mut self.state, State::Lost) {
            State::Idle(collector) => tokio::task::spawn_blocking(move || run(collector)),
            State::Busy(running) => running,
            State::Lost => return None,
        };
        match tokio::time::timeout(within, &mut running).await {
            Ok(Ok(finished)) => {
                let shortfall = finished.collector.shortfall();
                self.state = State::Idle(finished.collector);
                self.note(finished.result, shortfall, Some(finished.took))
            }
            Ok(Err(_panicked)) => {
                self.note(Err(anyhow::anyhow!("broke down; restart the agent")), None, None)
            }
            Err(_elapsed) => {
                self.state = State::Busy(running);
                let problem = anyhow::anyhow!("not done within {} ms", within.as_millis());
                self.note(Err(problem), None, None)
            }
        }
    }

    fn note(
        &mut self,
        result: anyhow::Result<Taken<R>>,
        shortfall: Option<String>,
        took: Option<Duration>,
    ) -> Option<Taken<R>> {
        let (taken, trouble) = match result {
            Ok(taken) => (Some(taken), shortfall),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        if self.trouble != trouble {
            match &trouble {
                None => tracing::info!(collector = self.name, "collecting again"),
                Some(trouble) if taken.is_some() => {
                    tracing::warn!(collector = self.name, shortfall = trouble, "not all collected");
                }
                Some(trouble) => {
                    tracing::warn!(collector = self.name, error = trouble, "nothing collected");
                }
            }
        }
        self.trouble.clone_from(&trouble);
        self.journal.note(&self.name, took, trouble);
        taken
    }
}

impl<R> Drop for Patient<R> {
    fn drop(&mut self) {
        self.journal.forget(&self.name);
    }
}

fn run<R: Send + 'static>(mut collector: Boxed<R>) -> Finished<R> {
    let start = Instant::now();
    let result = collector.collect();
    let result = result.map(|reading| Taken { at: UnixMillis::now(), reading });
    Finished { collector, result, took: start.elapsed() }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Collects what it is sent, and hangs until it is.
    struct Slow(Receiver<anyhow::Result<u32>>);

    impl Collector for Slow {
        type Reading = u32;

        fn collect(&mut self) -> anyhow::Result<u32> {
            self.0.recv()?
        }
    }

    #[tokio::test]
    async fn a_collector_that_hangs_is_named_and_its_reading_taken_when_it_comes() {
        let (send, receive) = channel();
        let mut slow = Patient::new("slow", Box::new(Slow(receive)), Journal::default());
        assert!(slow.collect(Duration::from_millis(10)).await.is_none());
        assert_eq!(slow.trouble(), Some("not done within 10 ms"));

        send.send(Ok(7)).unwrap();
        let taken = slow.collect(Duration::from_secs(60)).await.unwrap();
        assert_eq!((taken.reading, slow.trouble()), (7, None));
    }

    #[tokio::test]
    async fn a_failure_is_told_and_the_next_reading_counts() {
        let (send, receive) = channel();
        let mut slow = Patient::new("slow", Box::new(Slow(receive)), Journal::default());
        send.send(Err(anyhow::anyhow!("no such file"))).unwrap();
        assert!(slow.collect(Duration::from_secs(60)).await.is_none());
        assert_eq!(slow.trouble(), Some("no such file"));
        send.send(Ok(8)).unwrap();
        assert_eq!(slow.collect(Duration::from_secs(60)).await.unwrap().reading, 8);
    }
}
