//! What a queue keeps, drops and refuses; the books balance in every case.

//! What the queue gives out, keeps and drops, without a broker.

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

fn message(bytes: usize, handed: Instant) -> Message {
    Message {
        kind: Kind::Heartbeat,
        at: UnixMillis::new(1_000),
        payload: vec![b'x'; bytes].into(),
        handed,
        attempts: 0,
    }
}

/// Every message is accounted for, whatever happened.
fn assert_books_balance(queue: &Queue) {
    let figures = queue.figures();
    let accounted = figures.confirmed + figures.dropped.total() + figures.depth();
    assert_eq!(figures.handed, accounted, "{figures:?}");
}

#[test]
fn the_oldest_heartbeat_makes_room_and_is_counted() {
    let now = Instant::now();
    let mut queue = Queue::new(Class::Heartbeat, &BOUNDS);
    for expected in 1..=5 {
        assert_eq!(queue.take_in(message(10, now)), Ok(expected));
    }
    assert_eq!(queue.figures().dropped, Dropped { overflow: 2, ..Dropped::default() });
    assert_eq!(queue.send_next(now, ANSWER_WITHIN).unwrap().0, 3);
    assert_books_balance(&queue);
}

#[test]
fn a_response_over_either_bound_is_refused_and_gets_no_number() {
    let now = Instant::now();
    for bytes in [10, 33] {
        let mut queue = Queue::new(Class::Response, &BOUNDS);
        for _ in 0..3 {
            queue.take_in(message(bytes, now)).unwrap();
        }
        let error = queue.take_in(message(bytes, now)).unwrap_err();
        assert!(matches!(error, HandOverError::Full { kind: "response", messages: 3, .. }));
        let (number, _) = queue.send_next(now, ANSWER_WITHIN).unwrap();
        assert!(queue.take_in(message(bytes, now)).is_err(), "under way is still held");
        assert!(queue.confirm(number));
        assert_eq!(queue.take_in(message(bytes, now)), Ok(4));
        assert_books_balance(&queue);
    }
}

#[test]
fn a_metric_older_than_its_ring_is_dropped_and_a_young_one_sent() {
    let now = Instant::now();
    let later = now + BOUNDS.metric_life + Duration::from_secs(1);
    let mut queue = Queue::new(Class::Metric, &BOUNDS);
    queue.take_in(message(10, now)).unwrap();
    queue.take_in(message(10, later)).unwrap();
    assert_eq!(queue.send_next(later, ANSWER_WITHIN).unwrap().0, 2);
    assert_eq!(queue.figures().dropped, Dropped { expired: 1, ..Dropped::default() });
    assert_books_balance(&queue);
}

#[test]
fn what_is_sent_again_goes_before_what_came_later() {
    let now = Instant::now();
    let mut queue = Queue::new(Class::Monitoring, &BOUNDS);
    for _ in 0..3 {
        queue.take_in(message(10, now)).unwrap();
    }
    queue.send_next(now, ANSWER_WITHIN).unwrap();
    queue.send_next(now, ANSWER_WITHIN).unwrap();
    assert!(!queue.take_overdue_back(now + ANSWER_WITHIN / 2));
    assert!(queue.take_overdue_back(now + ANSWER_WITHIN));
    let (number, message) = queue.send_next(now, ANSWER_WITHIN).unwrap();
    assert_eq!((number, message.attempts), (1, 2));
    assert_eq!(queue.figures().retried, 1);
    assert!(!queue.take_overdue_back(now + ANSWER_WITHIN), "the second wait is longer");
    assert!(queue.take_overdue_back(now + 2 * ANSWER_WITHIN));
    assert_books_balance(&queue);
}

#[test]
fn an_answer_to_an_attempt_given_up_still_counts_and_only_once() {
    let now = Instant::now();
    let mut queue = Queue::new(Class::Monitoring, &BOUNDS);
    let number = queue.take_in(message(10, now)).unwrap();
    queue.send_next(now, ANSWER_WITHIN).unwrap();
    queue.take_all_back();
    assert!(queue.confirm(number));
    assert!(!queue.confirm(number));
    assert!(queue.send_next(now, ANSWER_WITHIN).is_none());
    assert_eq!((queue.figures().confirmed, queue.bytes), (1, 0));
    assert_books_balance(&queue);
}
