//! Where a lane's messages come from, and how they are held while a sink is ill.
//!
//! Promises: whatever is held here, decoded or not, is kept alive with progress acks for as long
//! as its write takes; at most two batches are held; while a sink is ill nothing is fetched.

#![expect(clippy::disallowed_methods, reason = "keeps alive what it holds; settles nothing")]

use std::time::Duration;

use broker::{Broker, Delivery, Pull};
use protocol::UnixMillis;
use runtime::health::Part;
use runtime::retry::Backoff;
use runtime::shutdown::CancellationToken;
use storage::Written;
use tokio::time::Instant;

use crate::batch::{Accepted, Batch};
use crate::doubt::{DOUBT_PAUSE, Doubt, Doubtful};
use crate::fair::Backlog;
use crate::lanes::Lane;
use crate::metrics::{Figures, Stage};
use crate::pipeline::{Outcome, Settled};

/// Shortest pause before something is tried again.
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// Longest pause before something is tried again.
const RETRY_LONGEST: Duration = Duration::from_secs(5);
/// Signs of life within one `ack_wait`.
const SIGNS_OF_LIFE: u32 = 3;
/// However short a consumer's `ack_wait` is.
const SIGN_OF_LIFE_AT_MOST_EVERY: Duration = Duration::from_millis(100);

/// Which consumer a lane pulls from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) stream: &'static str,
    pub(crate) consumer: &'static str,
    pub(crate) batch_messages: usize,
}

/// A durable consumer, pulled until told to stop.
pub(crate) struct Source {
    broker: Broker,
    origin: Origin,
    part: Part,
    stop: CancellationToken,
    /// What has to be over before this source fetches.
    gives_way_to: Option<Backlog>,
    pull: Option<Pull>,
    /// Fetched beside a write, not yet decoded.
    ahead: Vec<Delivery>,
    /// Not settled by anybody before; held until they are taken one at a time.
    doubtful: Doubtful,
    /// When what is held shows its next sign of life. It outlasts each piece of work, or work
    /// that fails quickly and often would never let it come.
    next_sign_of_life: Instant,
    backoff: Backoff,
    pub(crate) figures: Figures,
}

impl Source {
    pub(crate) fn new(
        broker: &Broker,
        origin: Origin,
        part: Part,
        stop: &CancellationToken,
        figures: Figures,
        doubt: &Doubt,
    ) -> Self {
        Self {
            broker: broker.clone(),
            origin,
            part,
            stop: stop.clone(),
            gives_way_to: None,
            pull: None,
            ahead: Vec::new(),
            doubtful: Doubtful::new(doubt.clone(), origin.stream),
            next_sign_of_life: Instant::now(),
            backoff: Backoff::new(RETRY_FIRST, RETRY_LONGEST),
            figures,
        }
    }

    /// Which consumer it pulls from.
    pub(crate) const fn origin(&self) -> Origin {
        self.origin
    }

    /// Lets another lane's backlog go first.
    pub(crate) fn giving_way_to(mut self, backlog: &Backlog) -> Self {
        self.gives_way_to = Some(backlog.clone());
        self
    }

    /// The next deliveries; `None` once stopping and nothing is left to take.
    pub(crate) async fn fetch(&mut self) -> Option<Vec<Delivery>> {
        self.settle_doubt().await;
        if let Some(backlog) = self.gives_way_to.clone() {
            let stop = self.stop.clone();
            self.keep_alive_during(&[], false, stop.run_until_cancelled(backlog.over())).await;
        }
        if self.stop.is_cancelled()
            && let Some(pull) = &mut self.pull
        {
            pull.close();
        }
        let mut deliveries = Vec::new();
        while deliveries.is_empty() {
            let fetched = match std::mem::take(&mut self.ahead) {
                ahead if !ahead.is_empty() => ahead,
                _ => match self.next_doubtful().await {
                    Some(alone) => {
                        deliveries.push(alone);
                        break;
                    }
                    None => self.fetch_patiently().await?,
                },
            };
            deliveries = self.doubtful.set_apart(fetched);
        }
        self.figures.fetched(&deliveries);
        Some(deliveries)
    }

    /// Waits, with everything held alive, for the turn of one in doubt; before the first of them
    /// a pause more.
    async fn next_doubtful(&mut self) -> Option<Delivery> {
        if self.doubtful.has_to_wait() {
            let stop = self.stop.clone();
            let pause = stop.run_until_cancelled(tokio::time::sleep(DOUBT_PAUSE));
            self.keep_alive_during(&[], false, pause).await;
        }
        let turn = self.doubtful.turn()?;
        let turn = self.keep_alive_during(&[], false, turn).await;
        self.doubtful.take(turn)
    }

    /// The next one in doubt has its turn once the broker knows that this one is settled: a kill
    /// would lose an ack that is on its way.
    async fn settle_doubt(&mut self) {
        if !self.doubtful.is_in_hand() {
            return;
        }
        let broker = self.broker.clone();
        if let Err(error) = self.keep_alive_during(&[], false, broker.flush_acks()).await {
            tracing::warn!(%error, "the broker may not know what is settled; that comes again");
        }
        self.doubtful.settled();
    }

    async fn fetch_patiently(&mut self) -> Option<Vec<Delivery>> {
        loop {
            match self.try_fetch().await {
                Ok(deliveries) => {
                    self.backoff.reset();
                    return deliveries;
                }
                Err(error) => {
                    self.part.down(&error.to_string());
                    let pause = tokio::time::sleep(self.backoff.next_delay());
                    self.stop.run_until_cancelled(pause).await?;
                }
            }
        }
    }

    async fn try_fetch(&mut self) -> Result<Option<Vec<Delivery>>, broker::BrokerGone> {
        let Origin { stream, consumer, batch_messages } = self.origin;
        let pull = match &mut self.pull {
            Some(pull) => pull,
            None => {
                let pull = Pull::open(&self.broker, stream, consumer, batch_messages).await?;
                self.part.up();
                self.pull.insert(pull)
            }
        };
        if let Some(deliveries) = self.stop.run_until_cancelled(pull.next()).await {
            return deliveries.inspect(|_| self.part.up());
        }
        // Stopping: what the last request still brings is taken, so that nothing is redelivered.
        pull.close();
        pull.next().await
    }

    /// Writes a batch however long its sink is ill; gives up only when stopping.
    pub(crate) async fn write<L: Lane>(
        &mut self,
        lane: &L,
        batch: Batch<L::Record>,
    ) -> Vec<Settled> {
        self.figures.end(Stage::Decode);
        let written = self.write_until_confirmed(lane, &batch).await;
        self.figures.end(Stage::Write);
        let messages = batch.rejected.len() + batch.deferred.len() + batch.accepted.len();
        let mut outcomes: Vec<Settled> = Vec::with_capacity(messages);
        for (delivery, reject) in batch.rejected {
            outcomes.push((delivery, Outcome::Park(reject)));
        }
        for (delivery, parcel) in batch.deferred {
            outcomes.push((delivery, Outcome::Deferred(parcel)));
        }
        let mut written = written.unwrap_or_default().into_iter();
        let (now, mut effects) = (UnixMillis::now(), 0);
        for Accepted { delivery, sent, record, .. } in batch.accepted {
            let outcome = match written.next() {
                Some(Ok(committed)) => {
                    self.figures.durable(now.since(sent));
                    effects += L::effects(&record);
                    Outcome::Done(committed)
                }
                Some(Err(reject)) => Outcome::Park(reject),
                None => Outcome::Retry,
            };
            outcomes.push((delivery, outcome));
        }
        self.figures.written(effects);
        outcomes
    }

    /// `None`: the sink is still ill and we are stopping.
    async fn write_until_confirmed<L: Lane>(
        &mut self,
        lane: &L,
        batch: &Batch<L::Record>,
    ) -> Option<Vec<Written>> {
        if batch.accepted.is_empty() {
            return None;
        }
        let accepted = batch.accepted.iter().map(|accepted| &accepted.delivery);
        let rejected = batch.rejected.iter().map(|(delivery, _)| delivery);
        let deferred = batch.deferred.iter().map(|(delivery, _)| delivery);
        let held: Vec<&Delivery> = accepted.chain(rejected).chain(deferred).collect();
        let mut repeated = false;
        loop {
            // The next batch is fetched beside the first attempt, and beside no other.
            let attempt = lane.write(&batch.accepted, repeated);
            match self.keep_alive_during(&held, !repeated, attempt).await {
                Ok(written) => {
                    self.part.up();
                    self.figures.sink(true);
                    self.backoff.reset();
                    return Some(written);
                }
                Err(unavailable) => {
                    self.part.down(&unavailable.to_string());
                    self.figures.sink(false);
                }
            }
            repeated = true;
            self.pause(&held).await?;
        }
    }

    /// Waits before the next attempt, holding what is held; `None` when stopping.
    pub(crate) async fn pause(&mut self, held: &[&Delivery]) -> Option<()> {
        self.doubtful.step_back();
        let stop = self.stop.clone();
        let pause = tokio::time::sleep(self.backoff.next_delay());
        self.keep_alive_during(held, false, stop.run_until_cancelled(pause)).await
    }

    /// Does `work` while everything that is held shows signs of life. `fetch_ahead`: one more
    /// batch may be requested meanwhile; it is held like the rest.
    pub(crate) async fn keep_alive_during<T>(
        &mut self,
        held: &[&Delivery],
        fetch_ahead: bool,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = std::pin::pin!(work);
        let Some(pull) = &mut self.pull else {
            return work.await;
        };
        let every = (pull.ack_wait() / SIGNS_OF_LIFE).max(SIGN_OF_LIFE_AT_MOST_EVERY);
        let (ahead, doubtful) = (&mut self.ahead, &self.doubtful);
        let next_sign_of_life = &mut self.next_sign_of_life;
        // Whatever is held when a deadly message is written loses an attempt.
        let fetch_ahead = fetch_ahead && doubtful.is_empty();
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep_until(*next_sign_of_life) => {
                    *next_sign_of_life = Instant::now() + every;
                    for delivery in held.iter().copied().chain(&*ahead).chain(doubtful.iter()) {
                        // A lost sign of life costs nothing until ack_wait, and there are more.
                        let _ = delivery.progress().await;
                    }
                }
                () = pull.absorb(ahead, fetch_ahead) => {}
            }
        }
    }
}
