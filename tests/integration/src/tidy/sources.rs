//! Rules on Rust files: a word at the head, their sizes, nothing unfinished.

use anyhow::Result;

use super::{SourceFile, check, file, files};

/// A longer file is two files.
const FILE_MAX_LINES: usize = 400;
/// A `main.rs` is read whole before anything else.
const MAIN_MAX_LINES: usize = 60;

/// The only module that names `backoff`.
const BACKOFF_AT: &str = "crates/runtime/src/retry.rs";

/// The only two modules that may use what clippy disallows: one acknowledges, one keeps alive.
const ACKNOWLEDGING: [&str; 2] = ["crates/receiver/src/settle.rs", "crates/receiver/src/hold.rs"];
/// What clippy has to disallow.
const DISALLOWED: [&str; 3] =
    ["broker::Delivery::ack", "broker::Delivery::terminate", "broker::Delivery::progress"];

fn rust_files(files: &[SourceFile]) -> impl Iterator<Item = &SourceFile> {
    files.iter().filter(|file| file.is_rust())
}

#[test]
fn every_module_says_what_it_is_for() -> Result<()> {
    let mut findings = Vec::new();
    for file in rust_files(&files()?) {
        if !file.text.starts_with("//! ") {
            let problem = "no `//!` in the first line; say what it is for, promises and refuses";
            findings.push(file.finding(1, problem));
        }
    }
    check(&findings)
}

#[test]
fn files_stay_short() -> Result<()> {
    let mut findings = Vec::new();
    for file in rust_files(&files()?) {
        let lines = file.text.lines().count();
        let most = if file.name() == "main.rs" { MAIN_MAX_LINES } else { FILE_MAX_LINES };
        if lines > most {
            let problem = format!("{lines} lines, at most {most}; take a part out by its purpose");
            findings.push(file.finding(most + 1, problem));
        }
    }
    check(&findings)
}

#[test]
fn nothing_is_left_to_do() -> Result<()> {
    let mut findings = Vec::new();
    for file in rust_files(&files()?) {
        findings.extend(file.lines_where(|line| {
            let unfinished = ["todo", "unimplemented"];
            let word = unfinished.iter().find(|word| line.contains(&format!("{word}!(")))?;
            Some(format!("`{word}!` panics at whoever comes by; write it, or refuse with an error"))
        }));
    }
    check(&findings)
}

#[test]
fn only_retry_names_backoff() -> Result<()> {
    let mut findings = Vec::new();
    for file in rust_files(&files()?).filter(|file| !file.is(BACKOFF_AT)) {
        findings.extend(file.lines_where(|line| {
            let names = [concat!("backoff", "::"), concat!("use ", "backoff")];
            let names = names.iter().any(|name| line.contains(name));
            names.then(|| format!("names `backoff`; take Backoff of {BACKOFF_AT}"))
        }));
    }
    check(&findings)
}

#[test]
fn only_settle_and_hold_acknowledge() -> Result<()> {
    let files = files()?;
    let clippy = file(&files, "clippy.toml")?;
    let mut findings = Vec::new();
    for method in DISALLOWED {
        if !clippy.text.contains(&format!("\"{method}\"")) {
            let problem = format!("{method} is not disallowed; add it to disallowed-methods");
            findings.push(clippy.finding(1, problem));
        }
    }
    for file in rust_files(&files) {
        // Tests beside a crate's `src` stand where others stand.
        let product = file.path.starts_with("crates") && !file.is_under("tests");
        if !product || ACKNOWLEDGING.iter().any(|path| file.is(path)) {
            continue;
        }
        findings.extend(file.lines_where(|line| {
            let permits = line.contains(concat!("clippy::", "disallowed_methods"));
            permits.then(|| "acknowledges; give an Outcome to settle instead".to_owned())
        }));
    }
    check(&findings)
}
