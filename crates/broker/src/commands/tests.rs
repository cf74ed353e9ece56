//! The gate and the work behind it, without a broker: what is admitted, what runs, what is counted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use identity::{CommandSigner, KeyKind, SecretKey};
use protocol::command::{CommandTerms, Run};
use protocol::{Command, SessionId, SignedCommand};
use serde_json::json;

use super::*;
use crate::Bounds;

const TENANT: &str = "11111111-1111-4111-8111-111111111111";
const DEVICE: &str = "22222222-2222-4222-8222-222222222222";
const DEADLINE: Duration = Duration::from_secs(30);

/// Counts what it is told to run; a `run` command lasts until it is stopped.
#[derive(Clone, Debug, Default)]
struct Counting {
    ran: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Runner for Counting {
    fn permits(&self, order: &Order) -> Result<(), CommandReason> {
        match order {
            Order::Run(Run { program, .. }) if program == "/never" => {
                Err(CommandReason::new(ReasonCode::NotAllowed, "never"))
            }
            _ => Ok(()),
        }
    }

    async fn run(&self, order: Order, work: Work) -> Ended {
        self.ran.fetch_add(1, Ordering::SeqCst);
        match order {
            Order::Run(Run { program, .. }) if program == "/panic" => panic!("as told"),
            Order::Run(_) => {
                work.stop.cancelled().await;
                self.stopped.store(true, Ordering::SeqCst);
                Ended::badly(ReasonCode::ProgramFailed, "ended", None)
            }
            _ => Ended::well(json!({})),
        }
    }
}

struct Stage {
    dir: tempfile::TempDir,
    key: SecretKey,
    ran: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Stage {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            key: SecretKey::generate(KeyKind::Signer).unwrap(),
            ran: Arc::default(),
            stopped: Arc::default(),
        }
    }

    async fn open(&self) -> DeviceCommands<Counting> {
        let sender = Sender {
            tenant: TENANT.parse().unwrap(),
            device: DEVICE.parse().unwrap(),
            session: SessionId::start(),
        };
        let journal = JournalSettings { dir: self.dir.path().join("commands"), sync: false };
        let settings = CommandSettings { journal, running_max: 1 };
        let keys = BelievedKeys::in_memory(vec![self.key.public().clone()]);
        let runner = Counting { ran: Arc::clone(&self.ran), stopped: Arc::clone(&self.stopped) };
        let outbox = Outbox::new(sender, Bounds::AGENT);
        let start = Instant::now();
        loop {
            let (outbox, keys) = (outbox.clone(), keys.clone());
            let opened =
                DeviceCommands::open(sender, settings.clone(), keys, outbox, runner.clone());
            match opened {
                Ok(commands) => return commands,
                // A task of the run before may be about to end.
                Err(error) => assert!(start.elapsed() < DEADLINE, "{error}"),
            }
            tokio::task::yield_now().await;
        }
    }

    fn command(&self, kind: &str, arguments: &Value, change: impl FnOnce(&mut Command)) -> Vec<u8> {
        let order = Order::parse(kind, arguments).unwrap();
        let now = UnixMillis::now();
        let terms = CommandTerms {
            tenant: TENANT.parse().unwrap(),
            device: DEVICE.parse().unwrap(),
            created: now,
            expires: UnixMillis::new(now.get() + 60_000),
            timeout_ms: None,
            requester: "alice".into(),
        };
        let mut command = Command::new(CommandId::create(), &order, terms).unwrap();
        change(&mut command);
        let signer = CommandSigner::with_keys(vec![self.key.clone()]).unwrap();
        signer.sign(&command).unwrap().to_payload().unwrap()
    }

    fn ping(&self) -> Vec<u8> {
        self.command("ping", &json!({}), |_| {})
    }

    fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }
}

fn admit(commands: &DeviceCommands<Counting>, payload: &[u8]) {
    let _ = commands.admit(payload).unwrap();
}

fn id_of(payload: &[u8]) -> CommandId {
    SignedCommand::read(payload).unwrap().command_id
}

/// Carries out until `holds`.
async fn until(commands: &DeviceCommands<Counting>, what: &str, holds: impl Fn() -> bool) {
    let stop = CancellationToken::new();
    let reached = async {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < DEADLINE, "never {what}: {:?}", commands.report());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        stop.cancel();
    };
    tokio::join!(commands.work(&stop), reached);
}

fn ended(commands: &DeviceCommands<Counting>, word: &str) -> u64 {
    commands.report().ended.get(word).copied().unwrap_or_default()
}

#[tokio::test]
async fn what_a_believed_key_signed_runs_once_however_often_it_comes() {
    let stage = Stage::new();
    let commands = stage.open().await;
    let ping = stage.ping();
    for _ in 0..3 {
        admit(&commands, &ping);
    }
    until(&commands, "one ended", || ended(&commands, "succeeded") == 1).await;
    admit(&commands, &ping);
    // The end is told once for the run, and once for each repetition that came after it.
    let told = || commands.0.answers.handed() >= 3;
    until(&commands, "answered again", told).await;
    drop(commands);

    let commands = stage.open().await;
    admit(&commands, &ping);
    until(&commands, "answered after a restart", || commands.0.answers.handed() >= 1).await;
    assert_eq!(stage.ran(), 1);
}

#[tokio::test]
async fn each_refusal_has_its_reason_and_runs_nothing() {
    let stage = Stage::new();
    let commands = stage.open().await;
    let other = Stage::new();
    let good = stage.ping();
    let mut text = SignedCommand::read(&good).unwrap();
    text.signed = text.signed.replace("ping", "pong");
    let tampered = text.to_payload().unwrap();
    let past = |command: &mut Command| {
        command.created = UnixMillis::new(command.created.get() - 120_000);
        command.expires = UnixMillis::new(command.expires.get() - 120_000);
    };
    let of_other = |command: &mut Command| command.device = TENANT.parse().unwrap();
    let of_tenant = |command: &mut Command| command.tenant = DEVICE.parse().unwrap();
    let unknown = |command: &mut Command| command.kind = "format-disk".into();
    let none = json!({});
    for (code, payload) in [
        ("malformed", b"not a command".to_vec()),
        ("malformed", vec![b' '; 300_000]),
        ("unknown_key", other.ping()),
        ("wrong_signature", tampered),
        ("other_device", stage.command("ping", &none, of_other)),
        ("other_tenant", stage.command("ping", &none, of_tenant)),
        ("expired", stage.command("ping", &none, past)),
        ("unknown_kind", stage.command("ping", &none, unknown)),
        ("bad_arguments", stage.command("ping", &none, |it| it.arguments = json!({ "x": 1 }))),
        ("not_allowed", stage.command("run", &json!({ "program": "/never" }), |_| {})),
    ] {
        let before = commands.report().refused.get(code).copied().unwrap_or_default();
        admit(&commands, &payload);
        let after = commands.report().refused.get(code).copied().unwrap_or_default();
        assert_eq!(after, before + 1, "{code}: {:?}", commands.report());
    }
    // What no believed key signed leaves no trace, so that nobody can spoil an id.
    assert_eq!(commands.0.journal.stage(id_of(&good)), None);
    admit(&commands, &good);
    until(&commands, "the good one ran", || ended(&commands, "succeeded") == 1).await;
    let again = stage.command("system.info", &none, |it| it.command_id = id_of(&good));
    admit(&commands, &again);
    assert_eq!(commands.report().refused.get("replayed"), Some(&1));
    assert_eq!(stage.ran(), 1);
}

#[tokio::test]
async fn a_crash_in_the_middle_is_told_as_interrupted_and_never_run_again() {
    let stage = Stage::new();
    let commands = stage.open().await;
    let lasting = stage.command("run", &json!({ "program": "/last" }), |_| {});
    admit(&commands, &lasting);
    let (running, waiting) = (id_of(&lasting), stage.ping());
    admit(&commands, &waiting);
    // As a kill does: nothing is told to anybody.
    let stop = CancellationToken::new();
    let started = async {
        while stage.ran() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = commands.work(&stop) => {}
        () = started => {}
    }
    drop(commands);

    let commands = stage.open().await;
    until(&commands, "both ended", || {
        ended(&commands, "failed") == 1 && ended(&commands, "succeeded") == 1
    })
    .await;
    let event = commands.0.journal.event(running).unwrap().unwrap();
    assert_eq!(event.reason.unwrap().code, ReasonCode::Interrupted);
    admit(&commands, &lasting);
    until(&commands, "answered again", || commands.0.answers.handed() >= 4).await;
    assert_eq!(stage.ran(), 2, "each once");
}

#[tokio::test]
async fn a_cancel_reaches_what_runs_what_waits_and_what_is_still_to_come() {
    let stage = Stage::new();
    let commands = stage.open().await;
    let running = stage.command("run", &json!({ "program": "/last" }), |_| {});
    let waiting = stage.ping();
    let to_come = stage.ping();
    admit(&commands, &running);
    let cancel = |payload: &[u8]| {
        stage.command("agent.cancel", &json!({ "command_id": id_of(payload) }), |_| {})
    };
    let stop = CancellationToken::new();
    let story = async {
        let start = Instant::now();
        let wait = async |what: &str, holds: &dyn Fn() -> bool| {
            while !holds() {
                assert!(start.elapsed() < DEADLINE, "never {what}");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        wait("running", &|| stage.ran() == 1).await;
        admit(&commands, &waiting);
        for payload in [&waiting, &to_come, &running] {
            admit(&commands, &cancel(payload));
        }
        let asked = Instant::now();
        wait("cancelled", &|| ended(&commands, "cancelled") == 2).await;
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        assert!(stage.stopped.load(Ordering::SeqCst));
        admit(&commands, &to_come);
        wait("known", &|| {
            let stage = commands.0.journal.stage(id_of(&to_come));
            matches!(stage, Some(journal::Stage::Ended { .. }))
        })
        .await;
        stop.cancel();
    };
    tokio::join!(commands.work(&stop), story);
    assert_eq!(stage.ran(), 1, "{:?}", commands.report());
}

#[tokio::test]
async fn what_takes_too_long_or_breaks_down_ends_all_the_same() {
    let stage = Stage::new();
    let commands = stage.open().await;
    let short = |command: &mut Command| command.timeout_ms = 100;
    let slow = stage.command("run", &json!({ "program": "/last" }), short);
    let broken = stage.command("run", &json!({ "program": "/panic" }), |_| {});
    admit(&commands, &slow);
    admit(&commands, &broken);
    until(&commands, "both ended", || {
        ended(&commands, "timed_out") == 1 && ended(&commands, "failed") == 1
    })
    .await;
    let event = commands.0.journal.event(id_of(&slow)).unwrap().unwrap();
    let reason = event.reason.unwrap();
    assert_eq!((reason.code, reason.text.contains("100 ms")), (ReasonCode::TimedOut, true));
}

#[tokio::test]
async fn new_keys_are_believed_from_the_moment_they_are_brought() {
    let stage = Stage::new();
    let commands = stage.open().await;
    let successor = Stage::new();
    let keys = json!({ "keys": [successor.key.public().as_str()] });
    admit(&commands, &stage.command("agent.trust-keys", &keys, |_| {}));
    until(&commands, "brought", || ended(&commands, "succeeded") == 1).await;
    admit(&commands, &stage.ping());
    assert_eq!(commands.report().refused.get("unknown_key"), Some(&1));
    admit(&commands, &successor.ping());
    until(&commands, "believed", || ended(&commands, "succeeded") == 2).await;
}

#[tokio::test]
async fn refusals_are_told_so_often_and_counted_for_ever() {
    let stage = Stage::new();
    let commands = stage.open().await;
    let forged = Stage::new();
    for _ in 0..100 {
        admit(&commands, &forged.ping());
    }
    assert_eq!(commands.report().refused.get("unknown_key"), Some(&100));
    assert!(commands.0.answers.handed() <= 60, "{}", commands.0.answers.handed());
}
