//! Who types: the user of the machine and the user at the broker.

use std::os::unix::fs::MetadataExt as _;

use anyhow::Context as _;
use identity::Credentials;

use crate::environment;

/// `alice at host, operator at the broker`. Not taken from variables that anybody sets, but for
/// sudo's, which only root can.
pub(crate) fn who() -> anyhow::Result<String> {
    let settings = environment::read(environment::broker_settings)?;
    let broker_user = match &settings.creds {
        Some(path) => {
            let creds = Credentials::load(path).context("reading NATS_CREDS")?;
            format!("{} at the broker", creds.user().name)
        }
        None => "nobody in particular at the broker".to_owned(),
    };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Ok(format!("{} at {}, {broker_user}", user()?, host.trim()))
}

fn user() -> anyhow::Result<String> {
    let uid = std::fs::metadata("/proc/self").context("finding the user of this process")?.uid();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = name_of(&accounts, uid).unwrap_or_else(|| format!("uid {uid}"));
    match std::env::var("SUDO_USER") {
        Ok(asked) if uid == 0 && !asked.is_empty() => Ok(format!("{asked} as {name}")),
        _ => Ok(name),
    }
}

fn name_of(accounts: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    let line = accounts.lines().find(|line| line.split(':').nth(2) == Some(uid.as_str()))?;
    line.split(':').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_as_the_machine_knows_it() {
        let accounts = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        assert_eq!(name_of(accounts, 1000).as_deref(), Some("alice"));
        assert_eq!(name_of(accounts, 100), None);
    }
}
