//! What stands between the files and the server, as a list that a person reads and a program checks.
//!
//! Shared by streams and accounts. Promises: an empty plan means that nothing would be changed;
//! what would lose data is marked as such and says what would be lost; durations and sizes are
//! shown both in units for people and exactly. Refuses to hold anything but the difference: a plan
//! changes nothing by itself.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// Fields that the server counts in nanoseconds.
const NANOSECOND_FIELDS: [&str; 8] = [
    "max_age",
    "duplicate_window",
    "subject_delete_marker_ttl",
    "ack_wait",
    "backoff",
    "inactive_threshold",
    "max_expires",
    "idle_heartbeat",
];

/// Fields that the server counts in bytes.
const BYTE_FIELDS: [&str; 3] = ["max_bytes", "max_msg_size", "storage_max_bytes"];

/// The difference between what is declared and what the server has.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Plan {
    /// What would be done, grouped by object, in the order in which it would be done.
    pub changes: Vec<Change>,
    /// What was seen and is left alone (an unmanaged stream, say); never a difference.
    pub notes: Vec<String>,
}

/// One field of one object that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Kind and name: `stream METRICS`, `consumer METRICS/rings`, `account {tenant}`.
    pub object: String,
    /// The field in the server's own words; empty when the whole object is meant.
    pub field: String,
    /// What the server has; absent when it has nothing.
    pub before: Option<Value>,
    /// What is declared; absent when the field or object goes.
    pub after: Option<Value>,
    /// What the change does.
    pub effect: Effect,
}

/// What a change does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Effect {
    /// The object does not exist yet.
    Create,
    /// The object stays and takes a new value.
    Update,
    /// The object or field goes, and no message with it.
    Remove,
    /// The change loses data; refused unless destructive changes are allowed.
    Destructive {
        /// What would be lost, in words.
        loses: String,
    },
    /// The server cannot make this change; always refused.
    Immutable {
        /// What a person can do instead.
        remedy: String,
    },
}

/// Whether a change that loses data may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destructive {
    /// Refuse the whole apply.
    Refuse,
    /// The operator said so.
    Allow,
}

impl Plan {
    /// Whether files and server agree. Notes do not count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes that lose data.
    #[must_use]
    pub fn destructive(&self) -> Vec<&Change> {
        self.changes
            .iter()
            .filter(|change| matches!(change.effect, Effect::Destructive { .. }))
            .collect()
    }

    /// The changes that the server cannot make.
    #[must_use]
    pub fn immutable(&self) -> Vec<&Change> {
        self.changes
            .iter()
            .filter(|change| matches!(change.effect, Effect::Immutable { .. }))
            .collect()
    }

    /// The names of the objects that would change, each once, in order.
    #[must_use]
    pub fn objects(&self) -> Vec<&str> {
        let mut objects: Vec<&str> = Vec::new();
        for change in &self.changes {
            if !objects.contains(&change.object.as_str()) {
                objects.push(&change.object);
            }
        }
        objects
    }

    fn of<'a>(&'a self, object: &'a str) -> impl Iterator<Item = &'a Change> {
        self.changes.iter().filter(move |change| change.object == object)
    }

    fn sign(&self, object: &str) -> char {
        if self.of(object).all(|change| change.effect == Effect::Create) {
            return '+';
        }
        if self.of(object).any(|change| change.field.is_empty() && change.after.is_none()) {
            return '-';
        }
        '~'
    }
}

impl Change {
    /// `max_age: 1h → 2h (3600000000000 → 7200000000000)`, without object and effect.
    #[must_use]
    pub fn summary(&self) -> String {
        let field = if self.field.is_empty() { "(whole)" } else { &self.field };
        match (&self.before, &self.after) {
            (None, None) => field.to_owned(),
            (None, Some(after)) => format!("{field}: {}", one_sided(field, after)),
            (Some(before), None) => format!("{field}: {} → (none)", one_sided(field, before)),
            (Some(before), Some(after)) => match (humane(field, before), humane(field, after)) {
                (Some(from), Some(to)) => format!("{field}: {from} → {to} ({before} → {after})"),
                _ => format!("{field}: {before} → {after}"),
            },
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())?;
        match &self.effect {
            Effect::Create | Effect::Update | Effect::Remove => Ok(()),
            Effect::Destructive { loses } => write!(f, "\n      ! loses {loses}"),
            Effect::Immutable { remedy } => write!(f, "\n      ! cannot be changed: {remedy}"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut signs = String::new();
        for object in self.objects() {
            let sign = self.sign(object);
            signs.push(sign);
            writeln!(f, "{sign} {object}")?;
            for change in self.of(object) {
                writeln!(f, "    {change}")?;
            }
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        if self.is_empty() {
            return f.write_str("in sync: nothing to do");
        }
        let count = |wanted: char| signs.chars().filter(|sign| *sign == wanted).count();
        write!(
            f,
            "plan: {} to create, {} to change, {} to remove",
            count('+'),
            count('~'),
            count('-')
        )?;
        if !self.destructive().is_empty() {
            write!(f, "; {} lose data", self.destructive().len())?;
        }
        if !self.immutable().is_empty() {
            write!(f, "; {} cannot be made", self.immutable().len())?;
        }
        Ok(())
    }
}

fn one_sided(field: &str, value: &Value) -> String {
    match humane(field, value) {
        Some(text) => format!("{text} ({value})"),
        None => value.to_string(),
    }
}

/// The value in units for people, for the fields that have a unit.
fn humane(field: &str, value: &Value) -> Option<String> {
    let field = field.rsplit('.').next().unwrap_or(field);
    if NANOSECOND_FIELDS.contains(&field) {
        return match value {
            Value::Array(all) => {
                let texts: Option<Vec<String>> = all.iter().map(humane_duration).collect();
                Some(format!("[{}]", texts?.join(", ")))
            }
            one => humane_duration(one),
        };
    }
    if BYTE_FIELDS.contains(&field) {
        return humane_bytes(value);
    }
    None
}

fn humane_duration(value: &Value) -> Option<String> {
    let nanoseconds = value.as_u64()?;
    if nanoseconds == 0 {
        return Some("0s".to_owned());
    }
    let duration = Duration::from_nanos(nanoseconds);
    if duration.subsec_nanos() != 0 {
        return Some(format!("{duration:?}"));
    }
    let mut seconds = duration.as_secs();
    let mut text = String::new();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if seconds >= length {
            text.push_str(&format!("{}{unit}", seconds / length));
            seconds %= length;
        }
    }
    Some(text)
}

fn humane_bytes(value: &Value) -> Option<String> {
    let Some(bytes) = value.as_u64() else {
        return value.as_i64().map(|_| "unlimited".to_owned());
    };
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes >= 1 << shift && bytes % (1 << shift) == 0 {
            return Some(format!("{} {unit}", bytes >> shift));
        }
    }
    Some(format!("{bytes} B"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(object: &str, field: &str, before: Option<Value>, after: Option<Value>) -> Change {
        Change {
            object: object.to_owned(),
            field: field.to_owned(),
            before,
            after,
            effect: Effect::Update,
        }
    }

    #[test]
    fn a_plan_reads_as_a_difference_in_units_for_people() {
        let plan = Plan {
            changes: vec![
                change(
                    "stream METRICS",
                    "max_age",
                    Some(json!(3_600_000_000_000_u64)),
                    Some(json!(5_430_000_000_000_u64)),
                ),
                Change {
                    effect: Effect::Destructive { loses: "7 messages".to_owned() },
                    ..change("stream METRICS", "max_bytes", Some(json!(-1)), Some(json!(2_097_152)))
                },
            ],
            notes: vec!["stream OTHER is not managed here: left alone".to_owned()],
        };
        assert_eq!(
            plan.to_string(),
            "~ stream METRICS\n    \
             max_age: 1h → 1h30m30s (3600000000000 → 5430000000000)\n    \
             max_bytes: unlimited → 2 MiB (-1 → 2097152)\n      ! loses 7 messages\n  \
             stream OTHER is not managed here: left alone\n\
             plan: 0 to create, 1 to change, 0 to remove; 1 lose data"
        );
    }

    #[test]
    fn notes_alone_are_no_difference() {
        let plan = Plan { changes: Vec::new(), notes: vec!["seen".to_owned()] };
        assert!(plan.is_empty());
        assert!(plan.to_string().ends_with("in sync: nothing to do"));
    }

    #[test]
    fn json_names_the_effect() {
        let mut one = change("stream A", "", Some(json!({})), None);
        one.effect = Effect::Destructive { loses: "everything".to_owned() };
        let text = serde_json::to_value(&one).unwrap();
        assert_eq!(text["effect"], json!({"kind": "destructive", "loses": "everything"}));
        assert_eq!(text["after"], Value::Null);
    }
}
