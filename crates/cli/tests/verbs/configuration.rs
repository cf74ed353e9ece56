//! docs/configuration.md says what the four programs say.

use std::path::Path;
use std::process::Command;

use crate::support::{repository, stderr, stdout};

#[test]
fn the_documented_settings_are_those_of_the_programs() {
    let programs = Path::new(env!("CARGO_BIN_EXE_wegweiser")).parent().unwrap();
    let script = repository().join("docs/configuration.sh");
    let output = Command::new("sh").arg(script).arg(programs).env_clear().output().unwrap();
    assert!(
        output.status.success(),
        "{}\nbuild all programs first: cargo build --workspace --bins",
        stderr(&output)
    );
    let documented = std::fs::read_to_string(repository().join("docs/configuration.md")).unwrap();
    assert!(documented == stdout(&output), "docs/configuration.md is stale; run: make docs-config");
}
