//! `top` on a terminal of its own, and once for a script.

#![expect(clippy::unwrap_used, reason = "clippy allows it in the test functions, not in helpers")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;

use crate::support::{Place, stderr, stdout};

/// Longest wait for what should be seen soon.
const SOON: Duration = Duration::from_secs(30);
const SIZE: (u16, u16) = (50, 132);
/// What scripts read.
const FIELDS: [(&str, &str); 4] = [
    ("streams", "stream messages bytes limit_bytes taken in_per_s copies copies_current"),
    (
        "consumers",
        "stream consumer waiting held redelivered pulls paused behind_ms deliveries out_per_s",
    ),
    ("receivers", "address ready reason done done_per_s parked held"),
    ("sinks", "sink up answer_ms reason"),
];

#[test]
fn once_it_prints_what_it_sees_for_people_and_for_scripts() {
    let mut place = Place::empty();
    let (_nats, _redis) = (place.start_nats(), place.start_redis());
    assert!(place.wegweiser(&["streams", "apply"]).status.success());
    let once = ["top", "--once", "--every", "100", "--receiver", "127.0.0.1:1"];
    let people = place.wegweiser(&once);
    let text = stdout(&people);
    assert!(people.status.success(), "{}", stderr(&people));
    for line in
        ["STREAM", "METRICS/rings", "METRICS_DEFERRED/rings", "127.0.0.1:1  no", "redis     yes"]
    {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    let script = place.wegweiser(&[&once[..], &["--output", "json"]].concat());
    let seen: Value = serde_json::from_slice(&script.stdout).unwrap();
    for (list, fields) in FIELDS {
        let first = seen[list][0].as_object().unwrap();
        let names: BTreeSet<&str> = first.keys().map(String::as_str).collect();
        assert_eq!(names, BTreeSet::from_iter(fields.split(' ')), "{list}: scripts rely on them");
    }
    assert_eq!(seen["streams"].as_array().unwrap().len(), 8, "{seen}");
    assert_eq!(seen["consumers"].as_array().unwrap().len(), 6, "{seen}");
    assert_eq!(seen["streams"][0]["in_per_s"], 0.0, "{seen}");
    assert_eq!((&seen["sinks"][0]["up"], &seen["sinks"][1]["up"]), (&true.into(), &false.into()));
    assert!(seen["sinks"][1]["reason"].as_str().unwrap().contains("postgres"), "{seen}");
    assert_eq!(seen["dead_letters"], 0);

    let no_terminal = place.wegweiser(&["top"]);
    assert_eq!(no_terminal.status.code(), Some(1));
    assert!(stderr(&no_terminal).contains("use --once"), "{}", stderr(&no_terminal));
}

/// A program on a terminal of its own, and what is to be seen there.
struct Screen {
    child: Child,
    keys: File,
    output: mpsc::Receiver<Vec<u8>>,
    parser: vt100::Parser,
}

impl Screen {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let (rows, columns) = SIZE;
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
        let terminal = || -> Stdio {
            let opened: OwnedFd =
                rustix::fs::open(&*name, flags, rustix::fs::Mode::empty()).unwrap();
            opened.into()
        };
        let child = place
            .program("wegweiser")
            .args(arguments)
            .env("TERM", "xterm-256color")
            .stdin(terminal())
            .stdout(terminal())
            .stderr(terminal())
            .spawn()
            .unwrap();
        let keys = File::from(master);
        let mut reader = keys.try_clone().unwrap();
        let (sender, output) = mpsc::channel();
        // Ends with the terminal.
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        let parser = vt100::Parser::new(rows, columns, 0);
        Self { child, keys, output, parser }
    }

    /// Waits until all of `words` are on the screen.
    fn shows(&mut self, words: &[&str]) -> String {
        let deadline = Instant::now() + SOON;
        loop {
            let seen = self.parser.screen().contents();
            if words.iter().all(|word| seen.contains(word)) {
                return seen;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{words:?} not within {SOON:?} on\n{seen}");
            if let Ok(bytes) = self.output.recv_timeout(left) {
                self.parser.process(&bytes);
            }
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn on_a_terminal_it_follows_what_happens_and_gives_the_terminal_back() {
    let mut place = Place::empty();
    let (_nats, mut redis) = (place.start_nats(), place.start_redis());
    assert!(place.wegweiser(&["streams", "apply"]).status.success());
    let mut screen = Screen::start(&place, &["top", "--every", "200", "--receiver", "127.0.0.1:1"]);
    let seen = screen.shows(&["wegweiser top", "METRICS/rings", "q quit", "redis     yes"]);
    assert!(screen.parser.screen().alternate_screen(), "what was there before stays:\n{seen}");
    redis.kill().unwrap();
    screen.shows(&["redis     no"]);
    screen.press(" ");
    screen.shows(&["stopped"]);
    redis.restart().unwrap();
    screen.press(" ");
    screen.shows(&["redis     yes"]);
    screen.press("q");
    let deadline = Instant::now() + SOON;
    let ended = loop {
        if let Some(status) = screen.child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        if let Ok(bytes) = screen.output.recv_timeout(Duration::from_millis(20)) {
            screen.parser.process(&bytes);
        }
    };
    assert!(ended.success(), "{ended}");
    while let Ok(bytes) = screen.output.recv_timeout(Duration::from_millis(200)) {
        screen.parser.process(&bytes);
    }
    assert!(!screen.parser.screen().alternate_screen(), "the terminal is as it was");
}
