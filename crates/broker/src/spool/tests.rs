//! The spool against what kills, power losses and bad disks leave behind.

use std::fs;
use std::io::Write as _;

use bytes::Bytes;
use proptest::prelude::*;
use protocol::Kind;

use super::folder::{DAMAGED, DAMAGED_MAX_FILES};
use super::*;

const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Length of a file's head.
const HEAD: usize = 56;
const CLASS: Class = Class::Response;

fn record(number: u64, bytes: usize) -> Record {
    let at = UnixMillis::now();
    let payload = Bytes::from(vec![u8::try_from(number % 251).unwrap(); bytes]);
    Record { number, kept_at: at, at, kind: Kind::Response, payload }
}

fn open(dir: &Path) -> Spool {
    Spool::open(dir, MAX_BYTES, SessionId::start()).unwrap()
}

/// A killed run that handed over these; its session.
fn leave(dir: &Path, sizes: &[usize]) -> (SessionId, Vec<Record>) {
    let session = SessionId::start();
    let mut spool = Spool::open(dir, MAX_BYTES, session).unwrap();
    let records: Vec<Record> =
        (1..).zip(sizes).map(|(number, bytes)| record(number, *bytes)).collect();
    for record in &records {
        spool.append(CLASS, record).unwrap();
    }
    (session, records)
}

/// Everything that is on disk only, and how many could not be read.
fn read_all(spool: &mut Spool) -> (Vec<(Place, Record)>, u64) {
    let (mut read, mut damaged) = (Vec::new(), 0);
    loop {
        match spool.next(CLASS).unwrap() {
            Next::Message(_, place, record) => read.push((place, record)),
            Next::Damaged(_, count) => damaged += count,
            Next::Nothing => return (read, damaged),
        }
    }
}

fn records(spool: &mut Spool) -> Vec<Record> {
    read_all(spool).0.into_iter().map(|(_, record)| record).collect()
}

fn files(dir: &Path, what: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(what))
        .collect();
    files.sort();
    files
}

fn dropped(spool: &mut Spool, session: SessionId) -> u64 {
    let told = spool.sessions.tell(1, &BTreeMap::new());
    told.iter().find(|told| told.session_id == session).unwrap().dropped.response
}

#[test]
fn a_file_cut_off_at_any_byte_gives_back_every_whole_record() {
    let dir = tempfile::tempdir().unwrap();
    let (_, kept) = leave(dir.path(), &[10, 0, 33]);
    let path = &files(dir.path(), "response")[0];
    let whole = fs::read(path).unwrap();
    for cut in 0..=whole.len() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(path.file_name().unwrap()), &whole[..cut]).unwrap();
        let mut spool = open(dir.path());
        let read = records(&mut spool);
        assert_eq!(read, kept[..read.len()], "cut at {cut}");
        let held = kept.iter().map(Record::encoded_bytes).scan(HEAD, |end, bytes| {
            *end += bytes;
            Some(*end)
        });
        assert_eq!(read.len(), held.filter(|end| *end <= cut).count(), "cut at {cut}");
        // And it goes on behind that.
        spool.append(CLASS, &record(1, 5)).unwrap();
    }
}

#[test]
fn zeros_at_the_end_as_a_power_loss_leaves_them_are_no_records() {
    let dir = tempfile::tempdir().unwrap();
    let (session, kept) = leave(dir.path(), &[10, 20]);
    let mut file = File::options().append(true).open(&files(dir.path(), "response")[0]).unwrap();
    file.write_all(&[0; 8_192]).unwrap();
    let mut spool = open(dir.path());
    assert_eq!(records(&mut spool), kept);
    assert_eq!(dropped(&mut spool, session), 0);
}

#[test]
fn one_wrong_byte_costs_one_record_is_counted_once_and_the_file_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (session, kept) = leave(dir.path(), &[100; 5]);
    let path = &files(dir.path(), "response")[0];
    let whole = fs::read(path).unwrap();
    let start = HEAD + 2 * kept[0].encoded_bytes();
    for wrong in start..start + kept[0].encoded_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = whole.clone();
        bytes[wrong] ^= 0x10;
        fs::write(dir.path().join(path.file_name().unwrap()), &bytes).unwrap();
        for _restart in 0..2 {
            let mut spool = open(dir.path());
            let numbers: Vec<u64> =
                records(&mut spool).iter().map(|record| record.number).collect();
            assert_eq!(numbers, [1, 2, 4, 5], "wrong at {wrong}");
            assert_eq!(dropped(&mut spool, session), 1, "wrong at {wrong}");
        }
        assert_eq!(fs::read(&files(dir.path(), DAMAGED)[0]).unwrap(), bytes);
    }
}

#[test]
fn what_is_no_file_of_ours_is_set_aside_and_few_of_them_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (_, kept) = leave(dir.path(), &[10]);
    for id in 2..12_u64 {
        fs::write(dir.path().join(Log::file_name(CLASS, id)), vec![b'?'; 3_000]).unwrap();
    }
    assert_eq!(records(&mut open(dir.path())), kept);
    assert_eq!(files(dir.path(), DAMAGED).len(), DAMAGED_MAX_FILES);
}

#[test]
fn a_file_that_goes_bad_while_the_agent_runs_costs_its_rest_and_not_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = vec![2_000; 300];
    leave(dir.path(), &sizes);
    let mut spool = open(dir.path());
    let first = &files(dir.path(), "response")[0];
    let mut bytes = fs::read(first).unwrap();
    bytes[HEAD + 10_000] ^= 1;
    fs::write(first, bytes).unwrap();
    let (read, damaged) = read_all(&mut spool);
    assert!(damaged > 0);
    assert_eq!(read.len() as u64 + damaged, 300);
    assert_eq!(read.last().unwrap().1.number, 300, "the next file is read");
    for (place, _) in read {
        spool.settle(CLASS, place);
    }
    assert_eq!(files(dir.path(), DAMAGED).len(), 1, "the bad one is kept");
    assert!(files(dir.path(), "response").is_empty());
}

#[test]
fn what_is_settled_does_not_come_again_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    leave(dir.path(), &[50; 10]);
    let mut spool = open(dir.path());
    let (read, _) = read_all(&mut spool);
    for (place, _) in &read[..4] {
        spool.settle(CLASS, *place);
    }
    spool.note_settled(CLASS, read[4..].iter().map(|(place, _)| *place));
    drop(spool);
    let mut spool = open(dir.path());
    let numbers: Vec<u64> = records(&mut spool).iter().map(|record| record.number).collect();
    assert_eq!(numbers, [5, 6, 7, 8, 9, 10]);
    assert_eq!(spool.pending().values().map(|counts| counts.response).sum::<u64>(), 6);
}

#[test]
fn a_second_agent_is_refused_and_told_why() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let error = Spool::open(dir.path(), MAX_BYTES, SessionId::start()).unwrap_err();
    assert!(error.to_string().contains("another agent uses this folder"), "{error}");
    drop(first);
    open(dir.path());
}

#[test]
fn hundreds_of_runs_that_crash_leave_a_bounded_list_and_all_their_messages() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..300 {
        leave(dir.path(), &[10]);
    }
    let mut spool = open(dir.path());
    assert_eq!(records(&mut spool).len(), 300);
    let told = spool.sessions.tell(1, &BTreeMap::new());
    assert_eq!(told.len(), protocol::limits::EARLIER_SESSIONS_MAX);
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Read,
    /// Of those in memory, which.
    Settle(usize),
    Release(usize),
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop_oneof![0..200_usize, 60_000..90_000_usize].prop_map(Step::Append),
        3 => Just(Step::Read),
        3 => any::<usize>().prop_map(Step::Settle),
        1 => any::<usize>().prop_map(Step::Release),
        1 => Just(Step::Kill),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is done in whatever order: nothing is lost, nothing is changed, and within a run
    /// nothing comes twice.
    #[test]
    fn no_message_is_lost_or_changed_by_any_course_of_events(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = open(dir.path());
        let mut number = 0;
        let mut unsettled: BTreeMap<u64, Record> = BTreeMap::new();
        let mut in_memory: Vec<(Place, u64)> = Vec::new();
        let mut settled_before_kill = Vec::new();
        for step in steps {
            match step {
                Step::Append(bytes) => {
                    number += 1;
                    let record = record(number, bytes);
                    in_memory.push((spool.append(CLASS, &record).unwrap(), number));
                    unsettled.insert(number, record);
                }
                Step::Read => if let Next::Message(_, place, record) = spool.next(CLASS).unwrap() {
                    let number = record.number;
                    prop_assert!(in_memory.iter().all(|(_, other)| *other != number), "twice");
                    match unsettled.get(&number) {
                        Some(kept) => prop_assert_eq!(kept, &record),
                        // Settled in an earlier run, which was killed before it was noted.
                        None => {
                            prop_assert!(settled_before_kill.contains(&number));
                            unsettled.insert(number, record);
                        }
                    }
                    in_memory.push((place, number));
                },
                Step::Settle(which) if !in_memory.is_empty() => {
                    let (place, number) = in_memory.remove(which % in_memory.len());
                    spool.settle(CLASS, place);
                    unsettled.remove(&number);
                    settled_before_kill.push(number);
                }
                Step::Release(which) if !in_memory.is_empty() => {
                    let (place, _) = in_memory.remove(which % in_memory.len());
                    spool.release(CLASS, place);
                }
                Step::Settle(_) | Step::Release(_) => {}
                Step::Kill => {
                    spool.note_settled(CLASS, in_memory.iter().map(|(place, _)| *place));
                    in_memory.clear();
                    drop(spool);
                    spool = open(dir.path());
                }
            }
        }
        drop(spool);
        let read = records(&mut open(dir.path()));
        for (number, kept) in &unsettled {
            let found: Vec<&Record> = read.iter().filter(|read| read.number == *number).collect();
            prop_assert_eq!(found, vec![kept], "number {} is there once", number);
        }
        prop_assert!(read.iter().map(|read| read.number).is_sorted(), "in order");
    }
}
