//! The files as they are written, in the field names of the server's JWT claims.
//!
//! Promises: an unknown field, a wrong type or a bad UUID is reported with file and field. Refuses
//! to know what a value means; [`super::check`] does.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use identity::{AccountLimits, Export, SharingType, UserLimits};
use protocol::TenantId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use super::error::Mistake;

/// Largest file that is read, in bytes; a real one has a few thousand.
const FILE_MAX_BYTES: u64 = 256 * 1024;
/// Most tenant files that are read.
const TENANT_FILES_MAX: usize = 100_000;

/// `system.json`, `backend.json` or `tenant.template.json`.
///
/// In the template `{tenant}` stands for the tenant's UUID; `{{name()}}` and its like are filled
/// in by the server at each connect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountFile {
    /// Text for people.
    pub description: String,
    /// What the account may use.
    pub limits: AccountLimits,
    /// Subjects that other accounts may import.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<Export>,
    /// Subjects of other accounts made visible here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<ImportEntry>,
    /// Who may be issued as a user, and what each role may do.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, Role>,
}

/// An import with the exporting account by name, for keys differ from place to place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportEntry {
    /// A name for people.
    pub name: String,
    /// How it is shared.
    #[serde(rename = "type")]
    pub sharing: SharingType,
    /// The exporting account: `BACKEND`.
    pub account: String,
    /// The subject at the exporter.
    pub subject: String,
    /// The subject here where it differs; `$1`, `$2` … stand for the wildcards of `subject`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub local_subject: String,
}

/// What the users of one scoped signing key may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Text for people.
    pub description: String,
    /// Rights and limits, in the server's template language.
    pub template: UserLimits,
}

/// One tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantFile {
    /// Who it is.
    #[serde(deserialize_with = "tenant_id")]
    pub tenant: TenantId,
    /// Its name for people.
    pub name: String,
    /// Limits that differ from the template's.
    #[serde(default)]
    pub limits: TenantLimits,
}

/// Limits of one tenant; an absent one is the template's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantLimits {
    /// Connections at once; -1 for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conn: Option<i64>,
    /// Bytes a message; -1 for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<i64>,
    /// Subscriptions a connection; -1 for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subs: Option<i64>,
    /// Bytes; carried in the claims, not enforced by the server (2.15).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<i64>,
}

/// Unlike the type's own, this error repeats the value and says what is wanted.
fn tenant_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TenantId, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// Reads one file, or notes what is wrong with it.
pub(super) fn read<T: DeserializeOwned>(path: &Path, mistakes: &mut Vec<Mistake>) -> Option<T> {
    let mut note = |field: String, problem: String| {
        mistakes.push(Mistake { file: path.to_owned(), field, problem });
        None
    };
    let mut text = String::new();
    let read =
        File::open(path).and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text));
    match read {
        Err(error) => return note(String::new(), format!("cannot be read ({error})")),
        Ok(length) if length as u64 > FILE_MAX_BYTES => {
            let problem = format!("has more than {FILE_MAX_BYTES} bytes; it is no account file");
            return note(String::new(), problem);
        }
        Ok(_) => {}
    }
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    let parsed = serde_path_to_error::deserialize(&mut deserializer);
    match parsed {
        Ok(value) if deserializer.end().is_ok() => Some(value),
        Ok(_) => note(String::new(), "has text after its closing brace; remove it".to_owned()),
        Err(error) => {
            let field = error.path().to_string();
            let field = if field == "." { String::new() } else { field };
            note(field, format!("{}; correct or remove it", error.inner()))
        }
    }
}

/// The tenant files of a directory, in order.
pub(super) fn tenant_files(directory: &Path, mistakes: &mut Vec<Mistake>) -> Vec<PathBuf> {
    let mut note = |problem: String| {
        let file = directory.to_owned();
        mistakes.push(Mistake { file, field: String::new(), problem });
    };
    let listed = std::fs::read_dir(directory).and_then(|entries| {
        entries.map(|entry| entry.map(|found| found.path())).collect::<Result<Vec<_>, _>>()
    });
    let mut paths = match listed {
        Ok(paths) => paths,
        Err(error) => {
            let name = super::TENANTS_DIR.name;
            note(format!("cannot be listed ({error}); {name} must name the tenants' directory"));
            return Vec::new();
        }
    };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    if paths.len() > TENANT_FILES_MAX {
        note(format!("holds more than {TENANT_FILES_MAX} tenants; split the installation"));
        paths.clear();
    }
    paths
}
