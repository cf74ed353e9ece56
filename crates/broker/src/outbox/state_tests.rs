//! What is given out, kept and dropped, in memory and on disk, without a broker; the books balance
//! in every case.

use protocol::Kind;

use super::*;

const BOUND: Bound = Bound { messages: 3, bytes: 100 };
const BOUNDS: Bounds = Bounds {
    in_flight_messages: 2,
    metric_life: Duration::from_secs(900),
    metrics: BOUND,
    heartbeats: BOUND,
    monitoring: BOUND,
    responses: BOUND,
};
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3_600);
const SPOOL_BYTES: u64 = 4 * 1024 * 1024;

fn message(class: Class, bytes: usize, handed: Instant) -> Message {
    let kind = match class {
        Class::Metric => Kind::Metric("cpu_percent".parse().unwrap()),
        Class::Heartbeat => Kind::Heartbeat,
        Class::Monitoring => Kind::Monitoring,
        Class::Response => Kind::Response,
    };
    let payload = vec![b'x'; bytes].into();
    Message {
        kind,
        at: UnixMillis::new(1_000),
        payload,
        handed,
        attempts: 0,
        place: None,
        origin: None,
    }
}

fn in_memory() -> State {
    State::new(SessionId::start(), &BOUNDS)
}

fn on_disk(dir: &std::path::Path) -> State {
    let mut state = in_memory();
    state.adopt(Spool::open(dir, SPOOL_BYTES, state.session).unwrap(), MONTH);
    state
}

impl State {
    fn hand(&mut self, class: Class, bytes: usize, at: Instant) -> Result<u64, HandOverError> {
        let taken = self.take_in(class, message(class, bytes, at));
        self.assert_books_balance();
        taken
    }

    fn send(&mut self, class: Class, now: Instant) -> Option<(Key, Message)> {
        self.drop_expired(class, now);
        let sent = self.queue(class).send_next(now, ANSWER_WITHIN);
        sent.or_else(|| self.send_from_disk(class, now, ANSWER_WITHIN).unwrap())
    }

    /// Sends and confirms what there is; its numbers.
    fn empty(&mut self, class: Class, now: Instant) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some((key, _)) = self.send(class, now) {
            assert!(self.confirm(class, key));
            self.assert_books_balance();
            numbers.push(key.1);
        }
        numbers
    }

    /// Every message is accounted for, whatever happened.
    fn assert_books_balance(&self) {
        for class in Class::ALL {
            let figures = self.figures(class);
            let accounted = figures.confirmed + figures.dropped.total() + figures.depth();
            assert_eq!(figures.handed, accounted - figures.earlier, "{figures:?}");
        }
    }
}

#[test]
fn without_a_disk_the_oldest_heartbeat_makes_room_and_is_counted() {
    let now = Instant::now();
    let mut state = in_memory();
    for expected in 1..=5 {
        assert_eq!(state.hand(Class::Heartbeat, 10, now), Ok(expected));
    }
    let dropped = state.figures(Class::Heartbeat).dropped;
    assert_eq!(dropped, DropReasons { overflow: 2, ..DropReasons::default() });
    assert_eq!(state.empty(Class::Heartbeat, now), [3, 4, 5]);
}

#[test]
fn without_a_disk_a_response_over_either_bound_is_refused_and_gets_no_number() {
    let now = Instant::now();
    for bytes in [10, 33] {
        let mut state = in_memory();
        for _ in 0..3 {
            state.hand(Class::Response, bytes, now).unwrap();
        }
        let error = state.hand(Class::Response, bytes, now).unwrap_err();
        assert!(matches!(error, HandOverError::Full { kind: "response", messages: 3, .. }));
        let (key, _) = state.send(Class::Response, now).unwrap();
        let refused = state.hand(Class::Response, bytes, now).is_err();
        assert!(refused, "under way is still held");
        assert!(state.confirm(Class::Response, key));
        assert_eq!(state.hand(Class::Response, bytes, now), Ok(4));
    }
}

#[test]
fn a_metric_older_than_its_ring_is_dropped_and_a_young_one_sent() {
    let now = Instant::now();
    let later = now + BOUNDS.metric_life + Duration::from_secs(1);
    let mut state = in_memory();
    state.hand(Class::Metric, 10, now).unwrap();
    state.hand(Class::Metric, 10, later).unwrap();
    assert_eq!(state.send(Class::Metric, later).unwrap().0.1, 2);
    let dropped = state.figures(Class::Metric).dropped;
    assert_eq!(dropped, DropReasons { expired: 1, ..DropReasons::default() });
    state.assert_books_balance();
}

#[test]
fn what_is_sent_again_goes_before_what_came_later() {
    let now = Instant::now();
    let mut state = in_memory();
    for _ in 0..3 {
        state.hand(Class::Monitoring, 10, now).unwrap();
    }
    state.send(Class::Monitoring, now).unwrap();
    state.send(Class::Monitoring, now).unwrap();
    let queue = state.queue(Class::Monitoring);
    assert!(!queue.take_overdue_back(now + ANSWER_WITHIN / 2));
    assert!(queue.take_overdue_back(now + ANSWER_WITHIN));
    let (key, message) = state.send(Class::Monitoring, now).unwrap();
    assert_eq!((key.1, message.attempts), (1, 2));
    let queue = state.queue(Class::Monitoring);
    assert_eq!(queue.figures.retried, 1);
    assert!(!queue.take_overdue_back(now + ANSWER_WITHIN), "the second wait is longer");
    assert!(queue.take_overdue_back(now + 2 * ANSWER_WITHIN));
    state.assert_books_balance();
}

#[test]
fn an_answer_to_an_attempt_given_up_still_counts_and_only_once() {
    let now = Instant::now();
    let mut state = in_memory();
    state.hand(Class::Monitoring, 10, now).unwrap();
    let (key, _) = state.send(Class::Monitoring, now).unwrap();
    state.queue(Class::Monitoring).take_all_back();
    assert!(state.confirm(Class::Monitoring, key));
    assert!(!state.confirm(Class::Monitoring, key));
    assert!(state.send(Class::Monitoring, now).is_none());
    assert_eq!(state.figures(Class::Monitoring).confirmed, 1);
    state.assert_books_balance();
}

#[test]
fn with_a_disk_nothing_is_refused_and_all_comes_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let now = Instant::now();
    let mut state = on_disk(dir.path());
    for class in [Class::Heartbeat, Class::Monitoring, Class::Response] {
        for _ in 0..500 {
            state.hand(class, 90, now).unwrap();
        }
        let figures = state.figures(class);
        assert!(figures.waiting <= 8, "memory is bounded: {figures:?}");
    }
    for class in [Class::Heartbeat, Class::Monitoring, Class::Response] {
        let mut numbers = state.empty(class, now);
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=500).collect::<Vec<u64>>());
        assert_eq!(state.figures(class).depth(), 0);
    }
    assert!(state.spool.as_ref().unwrap().bytes() < 1_000, "what is confirmed goes");
}

#[test]
fn what_a_killed_session_left_comes_under_its_own_numbers_and_its_books_close() {
    let dir = tempfile::tempdir().unwrap();
    let now = Instant::now();
    let mut killed = on_disk(dir.path());
    for _ in 0..20 {
        killed.hand(Class::Heartbeat, 90, now).unwrap();
        killed.hand(Class::Metric, 90, now).unwrap();
    }
    let (confirmed, _) = killed.send(Class::Heartbeat, now).unwrap();
    killed.confirm(Class::Heartbeat, confirmed);
    let session = killed.session;
    // As a kill leaves it: nothing is tidied.
    drop(killed);

    let mut state = on_disk(dir.path());
    state.hand(Class::Heartbeat, 90, now).unwrap();
    let pending = state.spool.as_ref().unwrap().pending();
    let told = state.spool.as_mut().unwrap().sessions.tell(1, &pending);
    assert_eq!((told.len(), told[0].session_id), (1, session));
    assert_eq!((told[0].sent.heartbeat, told[0].sent.metric), (20, 20));
    assert_eq!(told[0].spooled.metric, 20);

    let mut keys = Vec::new();
    for class in [Class::Heartbeat, Class::Metric] {
        while let Some((key, message)) = state.send(class, now) {
            assert_eq!(message.payload.len(), 90);
            assert!(state.confirm(class, key));
            state.assert_books_balance();
            keys.push((class.name(), key));
        }
    }
    for number in 1..=20 {
        let once = |kind| keys.iter().filter(|k| **k == (kind, (session, number))).count() == 1;
        assert!(once("metric"), "metric {number}");
        assert!(number == confirmed.1 || once("heartbeat"), "heartbeat {number}");
    }
    let pending = state.spool.as_ref().unwrap().pending();
    let told = state.spool.as_mut().unwrap().sessions.tell(2, &pending);
    assert!(told[0].spooled.is_zero());
    state.hand(Class::Heartbeat, 90, now).unwrap();
    state.empty(Class::Heartbeat, now);
    let told = state.spool.as_mut().unwrap().sessions.tell(3, &pending);
    assert!(told.is_empty(), "a heartbeat with its final counts is confirmed");
}

#[test]
fn when_the_disk_is_full_metrics_go_first_and_responses_never() {
    let dir = tempfile::tempdir().unwrap();
    let now = Instant::now();
    let mut state = on_disk(dir.path());
    let fill = |state: &mut State, class: Class, mut bytes: u64| {
        while bytes > 0 {
            state.hand(class, 4_000, now).unwrap();
            bytes = bytes.saturating_sub(4_000);
        }
    };
    let bounds = Bound { messages: 100_000, bytes: 100_000_000 };
    for class in Class::ALL {
        state.queue(class).bound = bounds;
    }
    for class in [Class::Response, Class::Monitoring, Class::Heartbeat, Class::Metric] {
        fill(&mut state, class, SPOOL_BYTES / 4);
    }
    let dropped = |state: &State, class| state.figures(class).dropped.overflow;
    fill(&mut state, Class::Response, SPOOL_BYTES / 8);
    assert!(dropped(&state, Class::Metric) > 0);
    assert_eq!(dropped(&state, Class::Heartbeat), 0);
    fill(&mut state, Class::Response, SPOOL_BYTES / 4);
    assert!(dropped(&state, Class::Heartbeat) > 0);
    assert_eq!(dropped(&state, Class::Monitoring), 0);
    fill(&mut state, Class::Response, SPOOL_BYTES / 4);
    assert!(dropped(&state, Class::Monitoring) > 0);
    fill(&mut state, Class::Response, SPOOL_BYTES / 2);
    assert_eq!(dropped(&state, Class::Response), 0);
    assert!(state.fault.as_ref().unwrap().contains("it is full with"), "{:?}", state.fault);
    assert!(state.spool.as_ref().unwrap().bytes() <= SPOOL_BYTES);
    let handed = state.figures(Class::Response).handed;
    assert_eq!(state.empty(Class::Response, now).len() as u64, handed);
}

#[test]
fn what_became_too_old_on_disk_is_counted_and_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let now = Instant::now();
    let mut state = on_disk(dir.path());
    for _ in 0..1_000 {
        state.hand(Class::Metric, 30, now).unwrap();
    }
    for _ in 0..10 {
        state.hand(Class::Heartbeat, 30, now).unwrap();
    }
    let later = now + BOUNDS.metric_life + Duration::from_secs(1);
    state.tidy(later);
    state.assert_books_balance();
    assert_eq!(state.figures(Class::Metric).dropped.expired, 1_000);
    state.tidy(now + MONTH + Duration::from_secs(1));
    assert_eq!(state.figures(Class::Heartbeat).dropped.expired, 10);
    state.assert_books_balance();
}

#[test]
fn a_disk_that_cannot_be_written_is_told_and_memory_goes_on_within_its_bound() {
    let dir = tempfile::tempdir().unwrap();
    let now = Instant::now();
    let mut state = on_disk(dir.path());
    state.hand(Class::Response, 10, now).unwrap();
    state.empty(Class::Response, now);
    // No new file can be made where the folder is not there.
    let moved = dir.path().with_extension("moved");
    std::fs::rename(dir.path(), &moved).unwrap();
    for expected in 1..=5 {
        assert_eq!(state.hand(Class::Heartbeat, 10, now), Ok(expected));
    }
    assert!(state.fault.as_ref().unwrap().contains("No such file"), "{:?}", state.fault);
    assert_eq!(state.figures(Class::Heartbeat).dropped.overflow, 2);

    std::fs::rename(&moved, dir.path()).unwrap();
    state.hand(Class::Heartbeat, 10, now).unwrap();
    state.tidy(now);
    assert_eq!(state.fault, None);
    assert!(state.is_on_disk(), "what was in memory only is written down");
    let mut numbers = state.empty(Class::Heartbeat, now);
    numbers.sort_unstable();
    assert_eq!(numbers, [3, 4, 5, 6]);
}
