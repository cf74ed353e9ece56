//! A program of the user's own that prints one JSON object of numbers:
//! `custom_{name}_{key}` for each.

use anyhow::{Context as _, ensure};
use serde_json::{Map, Value};

use super::program::{Program, Runner};
use super::{Collector, Point};

/// Most numbers that one program may report.
const NUMBERS_MAX: usize = 32;

pub(super) struct Custom {
    name: String,
    program: Program,
    runner: Runner,
    shortfall: Option<String>,
}

impl Custom {
    pub(super) fn new(name: String, program: Program) -> Self {
        Self { name, program, runner: Runner::default(), shortfall: None }
    }

    fn point(&self, key: &str, value: &Value) -> anyhow::Result<Point> {
        let value = value.as_f64().with_context(|| format!("{key:?} is no number"))?;
        Point::new(&format!("custom_{}_{key}", self.name), value)
    }
}

impl Collector for Custom {
    type Reading = Vec<Point>;

    fn collect(&mut self) -> anyhow::Result<Vec<Point>> {
        let printed = self.runner.run(&self.program)?;
        let shown = self.program.path.display();
        let object: Map<String, Value> = serde_json::from_slice(&printed)
            .with_context(|| format!("{shown} printed no JSON object"))?;
        let count = object.len();
        ensure!(count <= NUMBERS_MAX, "{shown} printed {count} numbers; {NUMBERS_MAX} may be");
        let mut points = Vec::new();
        self.shortfall = None;
        for (key, value) in &object {
            match self.point(key, value) {
                Ok(point) => points.push(point),
                Err(error) => self.shortfall = Some(format!("{error:#}")),
            }
        }
        Ok(points)
    }

    fn shortfall(&self) -> Option<String> {
        self.shortfall.clone()
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![expect(
        clippy::unwrap_used,
        reason = "clippy allows it in the test functions, not in helpers"
    )]

    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, Instant};

    use super::*;

    fn custom(script: &str) -> Custom {
        let arguments = ["-c", script, "sh", "a b"].map(str::to_owned).to_vec();
        let timeout = Duration::from_secs(20);
        let program = Program { path: "/bin/sh".into(), arguments, timeout };
        Custom::new("queue".to_owned(), program)
    }

    fn refused(script: &str) -> String {
        format!("{:#}", custom(script).collect().unwrap_err())
    }

    #[test]
    fn numbers_become_metrics_and_what_is_none_is_named() {
        let script = r#"test -z "$HOME" && echo "{\"depth\": 3, \"argc\": $#, \"x\": \"y\"}""#;
        let mut custom = custom(script);
        let points = custom.collect().unwrap();
        let read: Vec<(&str, f64)> =
            points.iter().map(|point| (point.metric.as_str(), point.value)).collect();
        assert_eq!(read, [("custom_queue_argc", 1.0), ("custom_queue_depth", 3.0)]);
        assert_eq!(custom.shortfall().unwrap(), "\"x\" is no number");
    }

    #[test]
    fn failures_floods_and_programs_of_others_are_refused_with_words() {
        assert!(refused("exit 3").contains("failed: exit status: 3"));
        assert!(refused("echo nothing").contains("printed no JSON object"));
        let flood = refused("head -c 66000 /dev/zero");
        assert!(flood.contains("printed more than 65536 bytes"), "{flood}");

        let dir = tempfile::tempdir().unwrap();
        let mut open = custom("");
        open.program.path = dir.path().join("program");
        std::fs::write(&open.program.path, "").unwrap();
        let mode = std::fs::Permissions::from_mode(0o722);
        std::fs::set_permissions(&open.program.path, mode).unwrap();
        assert!(format!("{:#}", open.collect().unwrap_err()).contains("chmod go-w"));
    }

    #[test]
    fn what_takes_too_long_is_ended_with_all_that_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let script = format!("sleep 600 & echo $! > {}/child; sleep 600", dir.path().display());
        let mut custom = custom(&script);
        custom.program.timeout = Duration::from_millis(900);
        let error = format!("{:#}", custom.collect().unwrap_err());
        assert!(error.contains("was not done within 900 ms and was ended"), "{error}");
        let child = std::fs::read_to_string(dir.path().join("child")).unwrap();
        // A zombie is as dead: who collects it is not ours to say.
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
            stat.map_or(true, |stat| stat.contains(") Z "))
        };
        let start = Instant::now();
        while !gone() {
            assert!(start.elapsed() < Duration::from_secs(30), "the child lives on");
            std::thread::yield_now();
        }
    }
}
