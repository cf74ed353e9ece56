//! Rules on what is no Rust: migrations, documentation, targets, and what no file mentions.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};
use protocol::Reject;

use super::{SourceFile, check, file, files};

const DEAD_LETTERS: &str = "docs/dead-letters.md";

/// Targets that no person calls: parts of others.
const INTERNAL_TARGETS: [&str; 2] = ["check-dependencies", "programs"];

/// Words in two parts, so that this file is no finding, and what to do about them.
const UNMENTIONED: [(&str, &str, &str); 6] = [
    ("/wo", "rk/", "name a path from the root of the repository"),
    ("DESI", "GN.md", "it is no part of the repository; refer to ARCHITECTURE.md"),
    ("cla", "ude", "how it is written is no part of the product; remove it"),
    ("anthr", "opic", "how it is written is no part of the product; remove it"),
    ("open", "ai", "how it is written is no part of the product; remove it"),
    ("co", "pilot", "how it is written is no part of the product; remove it"),
];

#[test]
fn migrations_are_numbered_without_gaps() -> Result<()> {
    let files = files()?;
    let mut findings = Vec::new();
    let mut numbered: BTreeMap<u32, &SourceFile> = BTreeMap::new();
    for file in files.iter().filter(|file| file.path.starts_with("migrations")) {
        if file.path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        let Some(number) = migration_number(file.name()) else {
            findings.push(file.finding(1, "name it V{number}__{what_it_does}.sql"));
            continue;
        };
        if let Some(other) = numbered.insert(number, file) {
            let problem = format!("{} has the same number; take the next", other.name());
            findings.push(file.finding(1, problem));
        }
    }
    ensure!(!numbered.is_empty(), "migrations/ has none; was the folder moved?");
    for (expected, (number, file)) in (1..).zip(&numbered) {
        if *number != expected {
            let problem = format!("V{expected} is missing before it; number without gaps");
            findings.push(file.finding(1, problem));
            break;
        }
    }
    check(&findings)
}

fn migration_number(name: &str) -> Option<u32> {
    let (number, what) = name.strip_prefix('V')?.strip_suffix(".sql")?.split_once("__")?;
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if what.is_empty() || !what.chars().all(word) {
        return None;
    }
    number.parse().ok()
}

#[test]
fn every_reason_of_a_dead_letter_has_its_section() -> Result<()> {
    let files = files()?;
    let document = file(&files, DEAD_LETTERS)?;
    let mut findings = Vec::new();
    let section = |code: &str| format!("## `{code}`");
    for code in Reject::CODES {
        if !document.text.lines().any(|line| line == section(code)) {
            let problem = format!("reason {code} has no section; add {:?}", section(code));
            findings.push(document.finding(1, problem));
        }
    }
    findings.extend(document.lines_where(|line| {
        let code = line.strip_prefix("## `")?.strip_suffix('`')?;
        let unknown = !Reject::CODES.contains(&code);
        unknown.then(|| format!("no message is parked as {code}; remove or rename the section"))
    }));
    check(&findings)
}

#[test]
fn every_target_tells_what_it_does() -> Result<()> {
    let files = files()?;
    let findings = file(&files, "Makefile")?.lines_where(|line| {
        let (target, rest) = line.split_once(':')?;
        let named = |c: char| c.is_ascii_lowercase() || c == '-';
        let is_target = !target.is_empty() && target.chars().all(named) && !rest.starts_with('=');
        let told = line.contains("## ") || INTERNAL_TARGETS.contains(&target);
        let problem = || format!("target {target} is not in `make help`; add `## what it does`");
        (is_target && !told).then(problem)
    });
    check(&findings)
}

#[test]
fn links_between_documents_lead_somewhere() -> Result<()> {
    let files = files()?;
    let mut findings = Vec::new();
    for document in files.iter().filter(|file| file.name().ends_with(".md")) {
        let folder = document.path.parent().unwrap_or(Path::new(""));
        findings.extend(document.lines_where(|line| {
            let gone = links(line)
                .find(|link| !crate::world::repository().join(folder).join(link).exists())?;
            Some(format!("{gone} does not exist; correct the link"))
        }));
    }
    check(&findings)
}

/// Targets of `[text](target)` within the repository, without their anchors.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', '#']).next().unwrap_or_default();
        let inside =
            !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
        inside.then_some(target)
    })
}

#[test]
fn no_file_mentions_how_it_is_made() -> Result<()> {
    let mut findings = Vec::new();
    for file in &files()? {
        findings.extend(file.lines_where(|line| {
            let line = line.to_lowercase();
            for (first, second, remedy) in UNMENTIONED {
                let word = format!("{first}{second}");
                if line.contains(&word.to_lowercase()) {
                    return Some(format!("mentions {word}: {remedy}"));
                }
            }
            None
        }));
    }
    check(&findings)
}
