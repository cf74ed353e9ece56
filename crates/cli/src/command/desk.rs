//! What every order needs: who orders, the keys that sign, the outbox and the broker.

use std::time::Duration;

use anyhow::Context as _;
use broker::accounts::AccountsSettings;
use broker::commands::CommandSender;
use identity::CommandSigner;
use protocol::CommandId;
use runtime::trace::{self, TracedSpan as _};
use storage::{CommandRow, CommandTarget, NewCommand, News, Records, Topic, WantedOrder};
use tokio::time::Instant;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::environment;
use crate::who::who;

/// How often commands are ended whose time is over; web services do it too.
const END_EVERY: Duration = Duration::from_secs(5);
/// How long beyond its timeout a command's device may be silent: the web service's default.
const GRACE: Duration = Duration::from_secs(600);
/// Longest that an end may stay unseen where no news of it came.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// News comes one by one: with many commands on their way, some are gathered.
const GATHER: Duration = Duration::from_millis(100);
/// So many commands on their way are many.
const MANY_COMMANDS: usize = 50;

/// What signs commands: the keys of the key directory.
pub(super) fn signer() -> anyhow::Result<CommandSigner> {
    let settings = environment::read(AccountsSettings::read)?;
    Ok(CommandSigner::open(&environment::keys(&settings.keys)?)?)
}

/// Where orders are made, and seen off.
pub(super) struct Desk {
    pub(super) records: Records,
    pub(super) sender: CommandSender,
    pub(super) signer: CommandSigner,
    pub(super) who: String,
    news: Option<News>,
    end_at: Instant,
}

impl Desk {
    pub(super) async fn open() -> anyhow::Result<Self> {
        let records = environment::records()?;
        let signer = signer()?;
        let sender = CommandSender::new(environment::broker().await?);
        Ok(Self { records, sender, signer, who: who()?, news: None, end_at: Instant::now() })
    }

    /// Listens from now on for what becomes of commands.
    pub(super) async fn listen(&mut self) -> anyhow::Result<()> {
        self.news = Some(self.records.news(Topic::Moved).await.context("listening to Postgres")?);
        Ok(())
    }

    /// Orders, and publishes what waits; a trace of its own, where traces are recorded.
    pub(super) async fn order(
        &self,
        batch: Uuid,
        wanted: &WantedOrder,
        targets: &[CommandTarget],
    ) -> anyhow::Result<Vec<NewCommand>> {
        let span = tracing::info_span!(
            target: trace::TARGET,
            parent: None,
            "order",
            otel.name = format!("order {}", wanted.order.kind()),
            otel.kind = "internal",
        );
        span.is_asked_for();
        self.order_within(batch, wanted, targets).instrument(span).await
    }

    async fn order_within(
        &self,
        batch: Uuid,
        wanted: &WantedOrder,
        targets: &[CommandTarget],
    ) -> anyhow::Result<Vec<NewCommand>> {
        let mut commands = Vec::with_capacity(targets.len());
        for target in targets {
            commands.push(wanted.prepare(target, &self.signer)?);
        }
        let ordered = self.records.order_commands(batch, &self.who, &commands).await;
        ordered.context("ordering")?;
        self.publish().await?;
        Ok(commands)
    }

    /// Publishes what waits, as the web service does.
    pub(super) async fn publish(&self) -> anyhow::Result<()> {
        let sender = &self.sender;
        loop {
            let publish = async |postings| sender.send(postings).await;
            let published = self.records.publish_commands(publish).await;
            if published.context("publishing; it is ordered, and will be")? == 0 {
                break;
            }
        }
        loop {
            let publish = async |postings| sender.send_first_generation(postings).await;
            let sent = self.records.publish_first_generation(publish).await;
            let sent = sent.context("publishing; it is ordered, and will be")?;
            sender.remove_heard(&sent).await;
            if sent.is_empty() {
                return Ok(());
            }
        }
    }

    /// Waits a little, and returns those of `open` that have ended.
    pub(super) async fn ended(&mut self, open: &[CommandId]) -> anyhow::Result<Vec<CommandRow>> {
        match &mut self.news {
            Some(news) => news.wait(LOOK_EVERY).await.context("listening to Postgres")?,
            None => tokio::time::sleep(LOOK_EVERY).await,
        }
        if open.len() > MANY_COMMANDS {
            tokio::time::sleep(GATHER).await;
        }
        if Instant::now() >= self.end_at {
            self.end_at = Instant::now() + END_EVERY;
            self.publish().await?;
            self.records.expire_commands().await?;
            self.records.give_up_commands(GRACE).await?;
        }
        self.records.ended_commands(open).await.context("looking what came of it")
    }
}
