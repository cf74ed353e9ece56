//! What the server would refuse, or take and do something else with, found before it is asked.
//!
//! Promises: the rules of the server's own `claimValidate` for what these files can say, and three
//! of ours: an import has its export, a role's template uses only words that the server knows, and
//! no limit shuts everybody out by being left out.

use std::path::Path;

use identity::{AccountLimits, Export, SharingType, UserLimits};

use super::error::Mistake;
use super::files::{AccountFile, ImportEntry};
use super::subjects;

/// What the server fills in at connect.
const TEMPLATE_WORDS: [&str; 4] = ["name()", "subject()", "account-name()", "account-subject()"];
/// Connection types that the server knows.
const CONNECTION_TYPES: [&str; 7] =
    ["STANDARD", "WEBSOCKET", "LEAFNODE", "LEAFNODE_WS", "MQTT", "MQTT_WS", "IN_PROCESS"];
/// How often a service may answer.
const RESPONSE_TYPES: [&str; 4] = ["", "Singleton", "Stream", "Chunked"];
/// Lengths of a role's name, in bytes.
const ROLE_NAME_MAX_BYTES: usize = 64;

/// Checks one file; `backend` is what its imports come from.
pub(super) fn account(
    path: &Path,
    file: &AccountFile,
    backend: Option<&AccountFile>,
    mistakes: &mut Vec<Mistake>,
) {
    let mut notes = Notes { path, mistakes };
    limits("limits", &file.limits, &mut notes);
    let (imports, exports) = (file.limits.imports, file.limits.exports);
    notes.count("imports", imports, file.imports.len());
    notes.count("exports", exports, file.exports.len());
    for (at, export) in file.exports.iter().enumerate() {
        check_export(at, export, &file.exports, &mut notes);
    }
    for (at, import) in file.imports.iter().enumerate() {
        check_import(at, import, &file.imports, backend, &mut notes);
    }
    for (name, role) in &file.roles {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > ROLE_NAME_MAX_BYTES || !name.chars().all(plain) {
            let remedy = format!("take 1 to {ROLE_NAME_MAX_BYTES} of [A-Za-z0-9_-]");
            notes.note(&format!("roles.{name}"), format!("no usable role name; {remedy}"));
        }
        template(&format!("roles.{name}.template"), &role.template, &mut notes);
    }
}

/// Checks limits that would let nobody in.
pub(super) fn limits(field: &str, limits: &AccountLimits, notes: &mut Notes<'_>) {
    let needed = [("conn", limits.conn), ("subs", limits.subs), ("payload", limits.payload)];
    for (name, value) in needed {
        if value == 0 {
            let problem = "is 0 or left out, so nobody could connect or publish; \
                           give a number, or -1 for no limit";
            notes.note(&format!("{field}.{name}"), problem.to_owned());
        }
    }
    for (name, value) in needed.into_iter().chain([
        ("data", limits.data),
        ("leaf", limits.leaf),
        ("imports", limits.imports),
        ("exports", limits.exports),
        ("mem_storage", limits.mem_storage),
        ("disk_storage", limits.disk_storage),
        ("streams", limits.streams),
        ("consumer", limits.consumer),
    ]) {
        if value < -1 {
            notes.note(&format!("{field}.{name}"), format!("is {value}; -1 means no limit"));
        }
    }
}

fn check_export(at: usize, export: &Export, all: &[Export], notes: &mut Notes<'_>) {
    let field = format!("exports[{at}]");
    notes.subject(&format!("{field}.subject"), &export.subject);
    if !RESPONSE_TYPES.contains(&export.response_type.as_str()) {
        let given = &export.response_type;
        let problem = format!("is {given:?}; take Singleton, Stream or Chunked");
        notes.note(&format!("{field}.response_type"), problem);
    }
    if export.sharing == SharingType::Stream && !export.response_type.is_empty() {
        let problem = "is for services only; remove it".to_owned();
        notes.note(&format!("{field}.response_type"), problem);
    }
    for (other_at, other) in all.iter().enumerate() {
        let same = other.sharing == export.sharing;
        if other_at != at && same && subjects::within(&export.subject, &other.subject) {
            let problem = format!("{:?} lies within {:?}; keep one", export.subject, other.subject);
            notes.note(&format!("{field}.subject"), problem);
        }
    }
}

fn check_import(
    at: usize,
    import: &ImportEntry,
    all: &[ImportEntry],
    backend: Option<&AccountFile>,
    notes: &mut Notes<'_>,
) {
    let field = format!("imports[{at}]");
    notes.subject(&format!("{field}.subject"), &import.subject);
    if import.account != "BACKEND" {
        let problem = format!("is {:?}; only BACKEND exports anything", import.account);
        notes.note(&format!("{field}.account"), problem);
    }
    if !import.local_subject.is_empty() {
        renaming(&format!("{field}.local_subject"), import, notes);
    }
    let exported = backend.is_none_or(|backend| {
        backend.exports.iter().any(|export| {
            export.sharing == import.sharing && subjects::within(&import.subject, &export.subject)
        })
    });
    if !exported {
        let problem = format!(
            "{:?} is no {:?} that backend.json exports; export it there or correct it",
            import.subject, import.sharing
        );
        notes.note(&format!("{field}.subject"), problem);
    }
    let local = |entry: &ImportEntry| match entry.local_subject.as_str() {
        "" => entry.subject.clone(),
        renamed => subjects::without_references(renamed),
    };
    for (other_at, other) in all.iter().enumerate() {
        let services = [import, other].iter().all(|one| one.sharing == SharingType::Service);
        if other_at != at && services && subjects::within(&local(import), &local(other)) {
            let problem = format!("{:?} lies within that of imports[{other_at}]", local(import));
            notes.note(&format!("{field}.local_subject"), problem);
        }
    }
}

fn renaming(field: &str, import: &ImportEntry, notes: &mut Notes<'_>) {
    let (local, remote) = (&import.local_subject, &import.subject);
    notes.subject(field, local);
    if local.ends_with('>') != remote.ends_with('>') {
        notes.note(field, format!("is {local:?}; it and the subject must both end in > or not"));
    }
    let wanted = subjects::wildcards(remote);
    let references: Vec<usize> = local.split('.').filter_map(subjects::reference).collect();
    let used = references.len() + subjects::wildcards(local);
    if used != wanted || references.iter().any(|at| *at == 0 || *at > wanted) {
        let problem = format!("is {local:?}; name each of the subject's {wanted} wildcards by $n");
        notes.note(field, problem);
    }
}

fn template(field: &str, template: &UserLimits, notes: &mut Notes<'_>) {
    let (publish, subscribe) = (&template.publish, &template.subscribe);
    for (part, list) in [
        ("pub.allow", &publish.allow),
        ("pub.deny", &publish.deny),
        ("sub.allow", &subscribe.allow),
        ("sub.deny", &subscribe.deny),
    ] {
        for subject in list {
            notes.template(&format!("{field}.{part}"), subject);
        }
    }
    for (part, permission) in [("pub", publish), ("sub", subscribe)] {
        if permission.allow.is_empty() && permission.deny.is_empty() {
            let problem = "allows every subject by being empty; list them, \
                           write \"allow\": [\">\"] for all or \"deny\": [\">\"] for none";
            notes.note(&format!("{field}.{part}"), problem.to_owned());
        }
    }
    for given in &template.allowed_connection_types {
        if !CONNECTION_TYPES.contains(&given.as_str()) {
            let known = CONNECTION_TYPES.join(", ");
            let problem = format!("{given:?} is none of {known}");
            notes.note(&format!("{field}.allowed_connection_types"), problem);
        }
    }
}

/// Collects the mistakes of one file.
pub(super) struct Notes<'a> {
    pub(super) path: &'a Path,
    pub(super) mistakes: &'a mut Vec<Mistake>,
}

impl Notes<'_> {
    pub(super) fn note(&mut self, field: &str, problem: String) {
        let file = self.path.to_owned();
        self.mistakes.push(Mistake { file, field: field.to_owned(), problem });
    }

    fn count(&mut self, what: &str, limit: i64, found: usize) {
        let over = usize::try_from(limit).is_ok_and(|limit| found > limit);
        if over {
            let problem = format!("is {limit} with {found} {what} declared; raise it");
            self.note(&format!("limits.{what}"), problem);
        }
    }

    fn subject(&mut self, field: &str, subject: &str) {
        if !subjects::is_valid(subject) {
            let problem = format!("{subject:?} is no subject; tokens are joined by single dots");
            self.note(field, problem);
        }
    }

    fn template(&mut self, field: &str, subject: &str) {
        let mut rest = subject;
        let mut plain = String::new();
        while let Some((before, from)) = rest.split_once("{{") {
            let Some((word, after)) = from.split_once("}}") else {
                return self.note(field, format!("{subject:?} has {{{{ without }}}}; close it"));
            };
            let word = word.trim();
            let tag = word.strip_prefix("account-").unwrap_or(word);
            let is_tag = tag.starts_with("tag(") && tag.ends_with(')');
            if !is_tag && !TEMPLATE_WORDS.contains(&word) {
                let known = TEMPLATE_WORDS.join(", ");
                let problem = format!("{word:?} in {subject:?} is none of {known}, tag(…)");
                return self.note(field, problem);
            }
            plain.push_str(before);
            plain.push('x');
            rest = after;
        }
        plain.push_str(rest);
        if plain.contains(['{', '}']) {
            let problem = format!(
                "{subject:?} has a brace that nothing fills in; only {{tenant}}, in tenant.template.json, is"
            );
            return self.note(field, problem);
        }
        self.subject(field, &plain);
    }
}
