//! Rules on `Cargo.toml`: who may name whom, and what is said once.

use anyhow::{Context as _, Result};
use toml::{Table, Value};

use super::{Finding, SourceFile, check, file, files};

const BASE: &[&str] = &["protocol", "runtime"];
const PRODUCT: &[&str] = &["broker", "identity", "protocol", "runtime", "storage"];
const BESIDE: &[&str] = &["broker", "devstack", "identity", "protocol", "runtime", "storage"];

/// Our crates and those of ours that each may name. Arrows point down; binaries never name each
/// other; the agent never sees storage.
const ARROWS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("runtime", &[]),
    ("identity", BASE),
    ("broker", &["identity", "protocol", "runtime"]),
    ("storage", &["identity", "protocol", "runtime"]),
    ("agent", &["broker", "identity", "protocol", "runtime"]),
    ("cli", PRODUCT),
    ("receiver", PRODUCT),
    ("web", PRODUCT),
    // Beside them: starts servers, and our programs as processes.
    ("devstack", &[]),
    ("integration", BESIDE),
    ("bench", BESIDE),
    ("chaos", BESIDE),
];

/// Libraries that one crate alone names, so that replacing one is a change of one crate.
const EDGES: &[(&str, &str)] = &[
    ("async-nats", "broker"),
    ("redis", "storage"),
    ("tokio-postgres", "storage"),
    ("tokio-postgres-rustls", "storage"),
    ("deadpool-postgres", "storage"),
    ("refinery", "storage"),
    ("nkeys", "identity"),
    ("backoff", "runtime"),
];

/// The stories and the faults look at servers as others do, and the benchmark measures what the
/// libraries alone can do: these may name any library.
const OUTSIDERS: [&str; 3] = ["integration", "bench", "chaos"];
/// Tests of every crate may start the real servers.
const TEST_SERVERS: &str = "devstack";

/// One member of the workspace.
struct Member<'a> {
    file: &'a SourceFile,
    name: String,
    manifest: Table,
}

/// One line of a member's dependencies.
struct Dependency {
    name: String,
    for_tests: bool,
    value: Value,
}

fn members(files: &[SourceFile]) -> Result<Vec<Member<'_>>> {
    let mut members = Vec::new();
    for file in files {
        if file.name() != "Cargo.toml" {
            continue;
        }
        let manifest = parse(file)?;
        // The root, and `fuzz`, which is a workspace of its own: it is built by another tool.
        if manifest.contains_key("workspace") {
            continue;
        }
        let name = manifest["package"]["name"].as_str().unwrap_or_default().to_owned();
        members.push(Member { file, name, manifest });
    }
    Ok(members)
}

fn parse(file: &SourceFile) -> Result<Table> {
    file.text.parse().with_context(|| format!("reading {}", file.path.display()))
}

impl Member<'_> {
    fn dependencies(&self) -> Vec<Dependency> {
        let mut tables = vec![&self.manifest];
        if let Some(targets) = self.manifest.get("target").and_then(Value::as_table) {
            tables.extend(targets.values().filter_map(Value::as_table));
        }
        let kinds =
            [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)];
        let mut found = Vec::new();
        for table in tables {
            for (kind, for_tests) in kinds {
                let Some(listed) = table.get(kind).and_then(Value::as_table) else { continue };
                for (name, value) in listed {
                    found.push(Dependency { name: name.clone(), for_tests, value: value.clone() });
                }
            }
        }
        found
    }

    fn finding(&self, dependency: &str, problem: String) -> Finding {
        self.file.finding(self.file.line_of(dependency), problem)
    }
}

#[test]
fn arrows_point_down() -> Result<()> {
    let files = files()?;
    let mut findings = Vec::new();
    for member in members(&files)? {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == member.name) else {
            let problem = format!("crate {} has no arrows; add it to {}", member.name, file!());
            findings.push(member.file.finding(1, problem));
            continue;
        };
        for dependency in member.dependencies() {
            let name = dependency.name.as_str();
            let ours = ARROWS.iter().any(|(ours, _)| *ours == name);
            let servers = dependency.for_tests && name == TEST_SERVERS;
            if ours && !servers && !allowed.contains(&name) {
                let problem = format!(
                    "{} may not name {name}: it may name {allowed:?}; move what both need down",
                    member.name
                );
                findings.push(member.finding(name, problem));
            }
        }
    }
    check(&findings)
}

#[test]
fn each_server_library_is_named_by_one_crate() -> Result<()> {
    let files = files()?;
    let mut findings = Vec::new();
    for member in members(&files)? {
        for dependency in member.dependencies() {
            let name = dependency.name.as_str();
            let Some((_, only)) = EDGES.iter().find(|(edge, _)| *edge == name) else { continue };
            let looks_on = OUTSIDERS.contains(&member.name.as_str());
            if member.name != *only && !looks_on {
                let problem = format!("only {only} names {name}; ask {only} for what is needed");
                findings.push(member.finding(name, problem));
            }
        }
    }
    check(&findings)
}

#[test]
fn every_crate_takes_its_lints_from_the_workspace() -> Result<()> {
    let files = files()?;
    let mut findings = Vec::new();
    for member in members(&files)? {
        let lints = member.manifest.get("lints").and_then(|lints| lints.get("workspace"));
        if lints.and_then(Value::as_bool) != Some(true) {
            let problem = "lints are not inherited; add `[lints]` with `workspace = true`";
            findings.push(member.file.finding(1, problem));
        }
    }
    check(&findings)
}

#[test]
fn a_dependency_has_its_version_once_and_is_used() -> Result<()> {
    let files = files()?;
    let members = members(&files)?;
    let mut findings = Vec::new();
    let mut named = Vec::new();
    for member in &members {
        for dependency in member.dependencies() {
            let name = dependency.name;
            let inherited = dependency.value.get("workspace").and_then(Value::as_bool);
            if inherited != Some(true) {
                let problem = format!(
                    "{name} is not inherited; write `{name}.workspace = true`, and its version in \
                     the root Cargo.toml"
                );
                findings.push(member.finding(&name, problem));
            }
            named.push(name);
        }
    }
    let root = file(&files, "Cargo.toml")?;
    let manifest = parse(root)?;
    let declared = manifest["workspace"]["dependencies"].as_table().context("a table")?;
    for name in declared.keys().filter(|name| !named.contains(name)) {
        let line = root.line_of(&format!("{name} "));
        findings.push(root.finding(line, format!("no crate uses {name}; remove the line")));
    }
    check(&findings)
}
