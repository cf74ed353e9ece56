//! A daemon of launchd (macOS). Compiled into the tests everywhere; run on macOS only.

use std::path::{Path, PathBuf};

use super::Service;
#[cfg(target_os = "macos")]
use super::{ask, have, remove, write};

const LABEL: &str = "io.wegweiser.agent";

fn plist_path(root: Option<&Path>) -> PathBuf {
    let folder = root.unwrap_or(Path::new("/")).join("Library/LaunchDaemons");
    folder.join(format!("{LABEL}.plist"))
}

#[cfg(target_os = "macos")]
pub(super) fn install(service: &Service, root: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let path = plist_path(root);
    let mut done = vec![write(&path, &plist(service))?];
    if root.is_none() {
        // It fails where none is loaded.
        let _ = ask("launchctl", &["bootout", &format!("system/{LABEL}")]);
        done.push(have("launchctl", &["bootstrap", "system", &path.display().to_string()])?);
    }
    Ok(done)
}

#[cfg(target_os = "macos")]
pub(super) fn uninstall(root: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let mut done = Vec::new();
    let path = plist_path(root);
    if root.is_none() && path.exists() {
        done.push(have("launchctl", &["bootout", &format!("system/{LABEL}")])?);
    }
    done.extend(remove(&path)?);
    Ok(done)
}

#[cfg(target_os = "macos")]
pub(super) fn state() -> anyhow::Result<String> {
    if !plist_path(None).exists() {
        return Ok("not installed".to_owned());
    }
    let told = ask("launchctl", &["print", &format!("system/{LABEL}")])?;
    let state = told.lines().find_map(|line| line.trim().strip_prefix("state = "));
    Ok(state.unwrap_or("unknown").to_owned())
}

/// launchd starts it again whenever it ends but with success.
fn plist(service: &Service) -> String {
    let (program, config) = (service.program.display(), service.config.display());
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key><string>{LABEL}</string>
  <key>ProgramArguments</key>
  <array>
    <string>{program}</string>
    <string>run</string>
    <string>--config</string>
    <string>{config}</string>
  </array>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
  <key>ThrottleInterval</key><integer>10</integer>
  <key>ExitTimeOut</key><integer>15</integer>
  <key>ProcessType</key><string>Background</string>
  <key>Umask</key><integer>63</integer>
  <key>StandardErrorPath</key><string>/Library/Logs/wegweiser-agent.log</string>
</dict>
</plist>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_runs_the_program_with_its_configuration() {
        let service = Service {
            program: "/usr/local/bin/wegweiser-agent".into(),
            config: "/etc/wegweiser/agent.toml".into(),
            creds: None,
        };
        let text = plist(&service);
        for word in ["/usr/local/bin/wegweiser-agent", "run", "/etc/wegweiser/agent.toml", LABEL] {
            assert!(text.contains(&format!("<string>{word}</string>")), "{word}: {text}");
        }
        let path = plist_path(Some(Path::new("/image")));
        assert_eq!(path, Path::new("/image/Library/LaunchDaemons/io.wegweiser.agent.plist"));
    }
}
