//! What systemd makes of our units: they are correct, and as shut off as the documentation says.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};

use crate::world::{executable, repository};

const ANALYZE: &str = "systemd-analyze";

/// Each unit, as it would be installed, in `folder`; and the document that tells its score.
fn units(folder: &Path) -> Result<Vec<(String, &'static str)>> {
    let agent = executable("wegweiser-agent")?;
    let root = folder.join("root");
    let installed = Command::new(&agent)
        .args(["install", "--program"])
        .arg(&agent)
        .arg("--root")
        .arg(&root)
        .output()?;
    ensure!(installed.status.success(), "{}", words(&installed));
    let unit = "wegweiser-agent.service";
    std::fs::copy(root.join("etc/systemd/system").join(unit), folder.join(unit))?;
    let mut units = vec![(unit.to_owned(), "docs/agent.md")];
    for entry in std::fs::read_dir(repository().join("deploy/systemd"))? {
        let entry = entry?;
        let name = entry.file_name().into_string().ok().context("a name")?;
        let text = std::fs::read_to_string(entry.path())?;
        // Whoever tests has not installed them.
        let program = |line: &str| match line.starts_with("ExecStart=") {
            true => "ExecStart=/bin/true".to_owned(),
            false => line.to_owned(),
        };
        let text: Vec<String> = text.lines().map(program).collect();
        std::fs::write(folder.join(&name), text.join("\n"))?;
        units.push((name, "docs/install.md"));
    }
    Ok(units)
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

#[test]
fn units_are_correct_and_as_shut_off_as_documented() -> Result<()> {
    // Where there is no systemd there are no units of it.
    if Command::new(ANALYZE).arg("--version").output().is_err() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let units = units(folder.path())?;
    ensure!(units.len() == 3, "{units:?}");
    for (unit, document) in units {
        let path = folder.path().join(&unit);
        let verified = Command::new(ANALYZE).args(["verify", "--man=no"]).arg(&path).output()?;
        let said = words(&verified);
        ensure!(verified.status.success() && said.is_empty(), "{unit}:\n{said}");
        let rated = Command::new(ANALYZE)
            .args(["security", "--offline=yes", "--no-pager"])
            .arg(&path)
            .output()?;
        let said = words(&rated);
        let score = said.rsplit_once(&format!("{unit}: ")).map(|(_, rest)| rest);
        let score = score.and_then(|rest| rest.split(' ').next()).context(said.clone())?;
        let text = std::fs::read_to_string(repository().join(document))?;
        let documented = text.lines().any(|line| {
            line.contains("systemd-analyze security") && line.contains(&format!("**{score} (OK)**"))
        });
        ensure!(documented, "{document} does not say that {unit} has {score}:\n{said}");
    }
    Ok(())
}
