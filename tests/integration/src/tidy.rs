//! The house rules, held by reading the workspace itself.
//!
//! Promises: what breaks a rule is named with file, line and remedy, all of it at once. Functions'
//! lengths and the place that acknowledges are clippy's to hold; that it is told so is held here.

mod documents;
mod manifests;
mod sources;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::world::repository;

/// Folders that are made here and belong to nobody's rules.
const NOT_OURS: [&str; 5] = ["target", ".git", ".stack", "node_modules", "__pycache__"];

/// A text file of the repository.
struct SourceFile {
    /// From the root of the repository.
    path: PathBuf,
    text: String,
}

/// One breach of one rule.
struct Finding {
    file: PathBuf,
    line: usize,
    problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.problem)
    }
}

impl SourceFile {
    fn is(&self, path: &str) -> bool {
        self.path == Path::new(path)
    }

    fn is_under(&self, folder: &str) -> bool {
        self.path.components().any(|part| part.as_os_str() == folder)
    }

    fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    fn is_rust(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "rs")
    }

    fn finding(&self, line: usize, problem: impl Into<String>) -> Finding {
        Finding { file: self.path.clone(), line, problem: problem.into() }
    }

    /// Findings for each line that `broken` says something about.
    fn lines_where(&self, broken: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (index, line) in self.text.lines().enumerate() {
            findings.extend(broken(line).map(|problem| self.finding(index + 1, problem)));
        }
        findings
    }

    /// Number of the first line that starts with `start`, 1 where none does.
    fn line_of(&self, start: &str) -> usize {
        self.text.lines().position(|line| line.starts_with(start)).map_or(1, |index| index + 1)
    }
}

/// Every text file of the repository, in the order of their paths.
fn files() -> Result<Vec<SourceFile>> {
    let root = repository().canonicalize()?;
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)?.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            // In a second work tree `.git` is a file.
            if NOT_OURS.iter().any(|not_ours| name == *not_ours) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // What is no text has no rules; what vanishes meanwhile is somebody's scratch.
            if let Ok(text) = std::fs::read_to_string(&path) {
                let path = path.strip_prefix(&root).unwrap_or(&path).to_path_buf();
                files.push(SourceFile { path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn file<'a>(files: &'a [SourceFile], path: &str) -> Result<&'a SourceFile> {
    files.iter().find(|file| file.is(path)).with_context(|| format!("{path} is missing"))
}

fn check(findings: &[Finding]) -> Result<()> {
    let listed: Vec<String> = findings.iter().map(ToString::to_string).collect();
    ensure!(listed.is_empty(), "\n{}\n", listed.join("\n"));
    Ok(())
}
