//! Publishes ordered commands, ends those whose time is over, and forgets those that ended long ago.
//!
//! Promises: any number of replicas, none waits for another; news of an order wakes it, and a sweep
//! finds what nobody was woken for; a kill at any instant loses no command and doubles none (see
//! docs/adr/0017-commands-by-outbox.md). A pass that has begun is finished at a signal.

use std::time::Duration;

use broker::commands::CommandSender;
use broker::{Broker, BrokerSettings};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use runtime::shutdown::CancellationToken;
use storage::{CommandState, News, Records, Topic, Unavailable};
use tokio::time::Instant;

/// How often the outbox is looked at without news; agents of the first generation get what waits
/// for them within this time of a heartbeat.
const SWEEP_EVERY: Duration = Duration::from_secs(2);
/// How often commands are ended whose time is over.
const END_EVERY: Duration = Duration::from_secs(5);
/// Pause where Postgres is away.
const AWAY_PAUSE: Duration = Duration::from_secs(1);

/// Generations of agents, as the figures name them.
const CURRENT: &str = "current";
const FIRST: &str = "first";
const GENERATIONS: [&str; 2] = [CURRENT, FIRST];

/// Empties the outbox.
pub(crate) struct Dispatch {
    pub(crate) records: Records,
    /// How long beyond its timeout a command's device may be silent.
    pub(crate) grace: Duration,
    /// How long a command is kept after its end.
    pub(crate) retention: Duration,
    pub(crate) figures: Figures,
}

/// What is counted.
pub(crate) struct Figures {
    published: Counter<u64>,
    ended: Counter<u64>,
    forgotten: Counter<u64>,
}

impl Figures {
    pub(crate) fn new(meter: &Meter) -> Self {
        let counter =
            |name, description| meter.u64_counter(name).with_description(description).build();
        let figures = Self {
            published: counter(
                "wegweiser_commands_published_total",
                "Commands that this process brought into their stream.",
            ),
            ended: counter(
                "wegweiser_commands_ended_total",
                "Commands that this process ended since their time was over.",
            ),
            forgotten: counter(
                "wegweiser_commands_forgotten_total",
                "Commands that this process removed long after their end.",
            ),
        };
        // Shown from the start.
        for generation in GENERATIONS {
            figures.published(0, generation);
        }
        for state in [CommandState::Expired, CommandState::TimedOut] {
            figures.ended(0, state);
        }
        figures.forgotten.add(0, &[]);
        figures
    }

    fn published(&self, count: usize, generation: &'static str) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.published.add(count, &[KeyValue::new("generation", generation)]);
    }

    fn ended(&self, count: usize, state: CommandState) {
        let state = state.as_str();
        if count > 0 {
            tracing::info!(commands = count, state, "commands ended since their time was over");
        }
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.ended.add(count, &[KeyValue::new("state", state)]);
    }
}

impl Dispatch {
    /// Works until `stop`.
    pub(crate) async fn run(self, settings: BrokerSettings, stop: CancellationToken) {
        let connecting = Broker::connect_patiently(&settings);
        let sender = match stop.run_until_cancelled(connecting).await {
            None => return,
            Some(Ok(broker)) => CommandSender::new(broker),
            Some(Err(error)) => {
                let error = format!("{error:#}");
                return tracing::error!(error, "commands are not sent from here");
            }
        };
        let mut news = None;
        let mut end_at = Instant::now();
        while !stop.is_cancelled() {
            if let Err(error) = self.pass(&sender, &mut end_at).await {
                tracing::warn!(%error, "commands wait");
                stop.run_until_cancelled(tokio::time::sleep(AWAY_PAUSE)).await;
            }
            let waiting = self.wait(&mut news);
            stop.run_until_cancelled(waiting).await;
        }
    }

    async fn pass(&self, sender: &CommandSender, end_at: &mut Instant) -> Result<(), Unavailable> {
        loop {
            let publish = async |postings| sender.send(postings).await;
            let published = self.records.publish_commands(publish).await?;
            self.figures.published(published, CURRENT);
            if published == 0 {
                break;
            }
        }
        loop {
            let publish = async |postings| sender.send_first_generation(postings).await;
            let sent = self.records.publish_first_generation(publish).await?;
            sender.remove_heard(&sent).await;
            self.figures.published(sent.len(), FIRST);
            if sent.is_empty() {
                break;
            }
        }
        if Instant::now() < *end_at {
            return Ok(());
        }
        *end_at = Instant::now() + END_EVERY;
        self.figures.ended(self.records.expire_commands().await?, CommandState::Expired);
        let silent = self.records.give_up_commands(self.grace).await?;
        self.figures.ended(silent, CommandState::TimedOut);
        // A few at a time: what is left goes with the next look.
        let forgotten = self.records.forget_commands(self.retention).await?;
        self.figures.forgotten.add(forgotten, &[]);
        Ok(())
    }

    /// Until somebody orders something, or it is time to look anyway.
    async fn wait(&self, news: &mut Option<News>) {
        if news.is_none() {
            match self.records.news(Topic::Ordered).await {
                // What was ordered before this moment told nobody: look first.
                Ok(listening) => {
                    *news = Some(listening);
                    return;
                }
                Err(error) => tracing::warn!(%error, "no news of commands, looking now and then"),
            }
        }
        match news {
            None => tokio::time::sleep(SWEEP_EVERY).await,
            Some(listening) => {
                if let Err(error) = listening.wait(SWEEP_EVERY).await {
                    tracing::warn!(%error, "no news of commands, listening again");
                    *news = None;
                }
            }
        }
    }
}
