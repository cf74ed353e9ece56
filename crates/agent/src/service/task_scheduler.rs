//! A task of the Windows task scheduler that starts with the machine. Compiled into the tests
//! everywhere; run on Windows only.
//!
//! A task, not a service of the service control manager: that one wants callbacks that Rust cannot
//! give without `unsafe`, which this workspace forbids. The scheduler starts it again when it fails.

#[cfg(windows)]
use std::path::Path;

use super::Service;
#[cfg(windows)]
use super::{ask, have, remove, write};

#[cfg(windows)]
const NAME: &str = r"\Wegweiser\Agent";

#[cfg(windows)]
pub(super) fn install(service: &Service, root: Option<&Path>) -> anyhow::Result<Vec<String>> {
    anyhow::ensure!(root.is_none(), "--root is for Linux and macOS");
    let path = std::env::temp_dir().join("wegweiser-agent-task.xml");
    write(&path, &task(service))?;
    let file = path.display().to_string();
    let made = have("schtasks", &["/Create", "/F", "/TN", NAME, "/XML", &file]);
    remove(&path)?;
    Ok(vec![made?, have("schtasks", &["/Run", "/TN", NAME])?])
}

#[cfg(windows)]
pub(super) fn uninstall(root: Option<&Path>) -> anyhow::Result<Vec<String>> {
    anyhow::ensure!(root.is_none(), "--root is for Linux and macOS");
    // It fails where it does not run.
    let _ = ask("schtasks", &["/End", "/TN", NAME]);
    Ok(vec![have("schtasks", &["/Delete", "/F", "/TN", NAME])?])
}

#[cfg(windows)]
pub(super) fn state() -> anyhow::Result<String> {
    match ask("schtasks", &["/Query", "/TN", NAME, "/FO", "CSV", "/NH"]) {
        Ok(told) => {
            Ok(told.trim().rsplit(',').next().unwrap_or("unknown").trim_matches('"').into())
        }
        Err(_) => Ok("not installed".to_owned()),
    }
}

/// As LocalService (S-1-5-19): it may use the network and little else. No limit in time; again
/// every minute where it failed.
fn task(service: &Service) -> String {
    let (program, config) = (service.program.display(), service.config.display());
    format!(
        r#"<?xml version="1.0"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Triggers><BootTrigger><Enabled>true</Enabled></BootTrigger></Triggers>
  <Principals>
    <Principal id="Agent"><UserId>S-1-5-19</UserId><RunLevel>LeastPrivilege</RunLevel></Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure><Interval>PT1M</Interval><Count>999</Count></RestartOnFailure>
  </Settings>
  <Actions Context="Agent">
    <Exec>
      <Command>{program}</Command>
      <Arguments>run --config "{config}"</Arguments>
    </Exec>
  </Actions>
</Task>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_runs_the_program_with_its_configuration() {
        let service = Service {
            program: r"C:\Program Files\Wegweiser\wegweiser-agent.exe".into(),
            config: r"C:\ProgramData\Wegweiser\agent.toml".into(),
            creds: None,
        };
        let text = task(&service);
        let program = r"<Command>C:\Program Files\Wegweiser\wegweiser-agent.exe</Command>";
        assert!(text.contains(program), "{text}");
        let arguments = r#"run --config "C:\ProgramData\Wegweiser\agent.toml""#;
        assert!(text.contains(arguments), "{text}");
    }
}
