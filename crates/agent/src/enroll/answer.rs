//! Keeps what an enrolment answered: authority, command keys, and where the broker is.
//!
//! Promises: each file is written whole or not at all; what else stands in the configuration stays
//! as it is, comments too.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use broker::BelievedKeys;
use protocol::EnrollAnswer;
use toml_edit::{DocumentMut, Item, Table, value};

use super::Wanted;
use crate::config::DEFAULT;

/// The broker's authority, beside the credentials.
const CA: &str = "broker-ca.pem";

/// Writes everything but the credentials; returns what, for people.
pub(super) fn write(answer: &EnrollAnswer, wanted: &Wanted) -> anyhow::Result<Vec<String>> {
    let mut done = vec![format!("broker       {}", answer.servers)];
    let mut entries =
        vec![("url", answer.servers.clone()), ("creds", wanted.creds.display().to_string())];
    if let Some(ca) = &answer.ca {
        let path = wanted.creds.with_file_name(CA);
        write_whole(&path, ca)?;
        entries.push(("ca", path.display().to_string()));
        done.push(format!("authority    {}", path.display()));
    }
    let path = wanted.creds.with_file_name(BelievedKeys::FILE_NAME);
    write_whole(&path, &format!("{}\n", answer.command_keys.join("\n")))?;
    done.push(format!("command keys {}", path.display()));
    write_configuration(&wanted.config, &entries)?;
    done.push(format!("settings     {}", wanted.config.display()));
    Ok(done)
}

fn write_configuration(path: &Path, entries: &[(&str, String)]) -> anyhow::Result<()> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => DEFAULT.to_owned(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let mut document: DocumentMut =
        text.parse().with_context(|| format!("{} is no TOML", path.display()))?;
    let broker = document.entry("broker").or_insert(Item::Table(Table::new()));
    let broker = broker
        .as_table_like_mut()
        .with_context(|| format!("broker in {} is no section; make it [broker]", path.display()))?;
    for (key, text) in entries {
        broker.insert(key, value(text));
    }
    if entries.iter().all(|(key, _)| *key != "ca") {
        broker.remove("ca");
    }
    write_whole(path, &document.to_string())
}

/// Writes a file that is no secret in place of one that may be there, whole or not at all.
fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let written = fs::create_dir_all(directory).and_then(|()| {
        let unfinished = super::beside(path, ".new");
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    });
    written.with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_set_and_everything_else_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.toml");
        let text = "# mine\n[broker]\nurl = \"tls://old:4222\" # the old one\nca = \"/old\"\n\n\
                    [labels]\nsite = \"cologne\"\n";
        fs::write(&path, text).unwrap();
        let entries = [("url", "tls://new:443".to_owned()), ("creds", "/c".to_owned())];
        write_configuration(&path, &entries).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# mine\n[broker]\nurl = \"tls://new:443\""), "{text}");
        assert!(text.contains("creds = \"/c\"\n") && !text.contains("/old"), "{text}");
        assert!(text.ends_with("[labels]\nsite = \"cologne\"\n"), "{text}");
    }

    #[test]
    fn without_a_file_the_default_one_is_written_with_the_entries() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("etc/agent.toml");
        write_configuration(&path, &[("url", "tls://new:443".to_owned())]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("url = \"tls://new:443\"\n"), "{text}");
        assert!(text.contains("[collectors.cpu]"), "{text}");
    }
}
