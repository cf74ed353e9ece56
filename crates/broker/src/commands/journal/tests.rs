//! What is noted is there after every kill, known as long as it must be, and bounded.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use protocol::Order;
use protocol::command::{CommandOutcome, CommandTerms, EventWord};
use serde_json::json;

use super::*;

const NOW: UnixMillis = UnixMillis::new(1_790_000_000_000);

fn settings(dir: &Path) -> JournalSettings {
    JournalSettings { dir: dir.join("commands"), sync: true }
}

fn open(dir: &Path) -> (Journal, Left) {
    Journal::open(&settings(dir), NOW).unwrap()
}

fn command_with(sql: &str, expires_after_ms: i64) -> (Command, String) {
    let order = Order::parse("osquery", &json!({ "sql": sql })).unwrap();
    let terms = CommandTerms {
        tenant: "11111111-1111-4111-8111-111111111111".parse().unwrap(),
        device: "22222222-2222-4222-8222-222222222222".parse().unwrap(),
        created: NOW,
        expires: UnixMillis::new(NOW.get() + expires_after_ms),
        timeout_ms: None,
        requester: "alice".into(),
    };
    let command = Command::new(CommandId::create(), &order, terms).unwrap();
    let text = command.to_text().unwrap();
    (command, text)
}

fn command() -> (Command, String) {
    command_with("SELECT 1", 60_000)
}

fn event(command: &Command, result: &str) -> CommandEvent {
    let of = (command.tenant, command.device, command.command_id);
    let event = CommandEvent::running(of, EventWord::Finished, 3, NOW);
    event.ended(CommandOutcome::Succeeded, None, Some(json!({ "result": result })))
}

fn take(journal: &Journal, (command, text): &(Command, String)) -> Taken {
    journal.take(command, text, NOW).unwrap()
}

fn is_new(taken: &Taken) -> bool {
    matches!(taken, Taken::New(_))
}

#[test]
fn a_kill_at_any_stage_leaves_what_was_noted() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, left) = open(dir.path());
    assert_eq!(left, Left::default());
    let all: Vec<_> = (0..4).map(|_| command()).collect();
    for one in &all {
        assert!(is_new(&take(&journal, one)));
    }
    let id = |index: usize| all[index].0.command_id;
    for index in 1..4 {
        journal.start(id(index)).unwrap();
    }
    journal.end(&event(&all[2].0, "two")).unwrap();
    journal.end(&event(&all[3].0, "three")).unwrap();
    journal.told(id(3)).unwrap();
    drop(journal);

    let (journal, left) = open(dir.path());
    let wanted = Left { waiting: vec![id(0)], interrupted: vec![id(1)], untold: vec![id(2)] };
    assert_eq!(left, wanted);
    assert_eq!(journal.text(id(0)).unwrap().unwrap(), all[0].1);
    assert_eq!(journal.event(id(3)).unwrap().unwrap(), event(&all[3].0, "three"));
    for (index, stage) in [
        (0, Stage::Waiting),
        (1, Stage::Running),
        (2, Stage::Ended { told: false }),
        (3, Stage::Ended { told: true }),
    ] {
        let taken = take(&journal, &all[index]);
        assert!(matches!(taken, Taken::Known(_, met) if met == stage), "{index}: {taken:?}");
    }
}

#[test]
fn an_id_with_other_content_is_told_from_a_repetition() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let (first, text) = command();
    assert!(is_new(&take(&journal, &(first.clone(), text.clone()))));
    let (mut second, _) = command_with("SELECT 2", 60_000);
    second.command_id = first.command_id;
    let other = (second.clone(), second.to_text().unwrap());
    assert!(matches!(take(&journal, &other), Taken::OtherContent(_)));
    assert_eq!(journal.text(first.command_id).unwrap().unwrap(), text);
}

#[test]
fn every_cut_of_the_file_leaves_a_journal_that_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let (one, two) = (command(), command());
    take(&journal, &one);
    let after_one = fs::metadata(&journal.path).unwrap().len();
    take(&journal, &two);
    journal.start(two.0.command_id).unwrap();
    let whole = fs::read(&journal.path).unwrap();
    let path = journal.path.clone();
    drop(journal);
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let (journal, left) = open(dir.path());
        let known = journal.stage(one.0.command_id).is_some();
        assert_eq!(known, length as u64 >= after_one, "{length}");
        assert!(left.interrupted.is_empty(), "{length}");
        let three = command();
        assert!(is_new(&take(&journal, &three)), "{length}");
        drop(journal);
        let (journal, _) = open(dir.path());
        assert_eq!(journal.stage(three.0.command_id), Some(Stage::Waiting), "{length}");
    }
    // A power loss may leave zeros where the last note was to be.
    fs::write(&path, &whole).unwrap();
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&[0; 4_096]).unwrap();
    let (journal, left) = open(dir.path());
    assert_eq!(left.interrupted, [two.0.command_id]);
    assert!(is_new(&take(&journal, &command())));
}

#[test]
fn a_damaged_journal_lets_nothing_run_that_was_made_before() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let all: Vec<_> = (0..3).map(|_| command()).collect();
    for one in &all {
        take(&journal, one);
    }
    let path = journal.path.clone();
    drop(journal);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&path, bytes).unwrap();

    let (journal, left) = open(dir.path());
    let known: Vec<CommandId> = [0, 2].map(|index: usize| all[index].0.command_id).to_vec();
    assert_eq!(left.waiting, known, "what can be read is kept");
    assert!(path.with_file_name("damaged-commands.log").exists());
    assert!(matches!(take(&journal, &all[1]), Taken::Forgotten(..)), "it may have run");
    drop(journal);
    let (journal, _) = open(dir.path());
    assert!(matches!(take(&journal, &all[1]), Taken::Forgotten(..)), "after a restart too");
    drop(journal);
    let later = UnixMillis::new(NOW.get() + 1);
    let (mut new, _) = command();
    new.created = later;
    let text = new.to_text().unwrap();
    let (journal, _) = open(dir.path());
    assert!(is_new(&journal.take(&new, &text, later).unwrap()));
}

#[test]
fn what_is_forgotten_is_refused_for_ever_even_if_the_clock_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let (old, long) = (command_with("SELECT 1", 60_000), command_with("SELECT 2", 600_000_000));
    take(&journal, &old);
    take(&journal, &long);
    for one in [&old, &long] {
        journal.end(&event(&one.0, "x")).unwrap();
        journal.told(one.0.command_id).unwrap();
    }
    let in_time = UnixMillis::new(NOW.get() + 60_000 + KEPT_AFTER_EXPIRY_MS - 1);
    let (other, text) = command_with("SELECT 3", 500_000_000);
    let _ = journal.take(&other, &text, in_time).unwrap();
    assert!(matches!(take(&journal, &old), Taken::Known(..)), "expired, and still known");

    let after = UnixMillis::new(in_time.get() + 2);
    let (another, text) = command_with("SELECT 4", 500_000_000);
    let _ = journal.take(&another, &text, after).unwrap();
    assert_eq!(journal.stage(old.0.command_id), None);
    assert!(matches!(take(&journal, &old), Taken::Forgotten(..)));
    assert!(matches!(take(&journal, &long), Taken::Known(..)));
}

#[test]
fn the_file_is_written_anew_and_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let waiting = command_with(&"w".repeat(1_000), 600_000_000);
    take(&journal, &waiting);
    let running = command_with("SELECT 1", 600_000_000);
    take(&journal, &running);
    journal.start(running.0.command_id).unwrap();
    let ahead = CommandId::create();
    journal.cancel_ahead(ahead, UnixMillis::new(NOW.get() + 600_000_000), NOW).unwrap();
    let forgotten = command();
    take(&journal, &forgotten);
    journal.end(&event(&forgotten.0, "x")).unwrap();
    journal.told(forgotten.0.command_id).unwrap();
    let later = UnixMillis::new(NOW.get() + 60_001 + KEPT_AFTER_EXPIRY_MS);
    let mut ended = None;
    for _ in 0..400 {
        let one = command_with(&"x".repeat(4_000), 600_000_000);
        let _ = journal.take(&one.0, &one.1, later).unwrap();
        journal.end(&event(&one.0, "y")).unwrap();
        journal.told(one.0.command_id).unwrap();
        ended = Some(one);
    }
    let bytes = fs::metadata(&journal.path).unwrap().len();
    assert!(bytes < 3 * REWRITE_AT_BYTES, "{bytes}");
    let ended = ended.unwrap();
    drop(journal);
    let (journal, left) = open(dir.path());
    assert_eq!(left.waiting, [waiting.0.command_id]);
    assert_eq!(left.interrupted, [running.0.command_id]);
    assert_eq!(journal.stage(ahead), Some(Stage::CancelledAhead));
    assert_eq!(journal.text(waiting.0.command_id).unwrap().unwrap(), waiting.1);
    assert_eq!(journal.event(ended.0.command_id).unwrap().unwrap(), event(&ended.0, "y"));
    assert!(matches!(take(&journal, &forgotten), Taken::Forgotten(..)), "the horizon is kept");
}

#[test]
fn results_make_room_and_ids_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let settings = JournalSettings { sync: false, ..settings(dir.path()) };
    let (journal, _) = Journal::open(&settings, NOW).unwrap();
    let large = "r".repeat(512 * 1024);
    let all: Vec<_> = (0..20).map(|_| command()).collect();
    for one in &all {
        take(&journal, one);
        journal.end(&event(&one.0, &large)).unwrap();
        journal.told(one.0.command_id).unwrap();
    }
    take(&journal, &command());
    assert!(journal.event(all[0].0.command_id).unwrap().is_none(), "the oldest made room");
    assert!(journal.event(all[19].0.command_id).unwrap().is_some());
    assert!(matches!(take(&journal, &all[0]), Taken::Known(..)), "and is known all the same");

    let sql = "s".repeat(60 * 1024);
    let refused = (0..200).find_map(|_| {
        let (command, text) = command_with(&sql, 60_000);
        journal.take(&command, &text, NOW).err()
    });
    assert!(matches!(refused, Some(JournalError::Full { .. })), "{refused:?}");
}

#[test]
fn a_folder_is_for_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let (_journal, _) = open(dir.path());
    let error = Journal::open(&settings(dir.path()), NOW).unwrap_err().to_string();
    assert!(error.contains("another agent uses this folder"), "{error}");
}
