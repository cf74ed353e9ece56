//! What differs between two sets of claims, field by field.
//!
//! Promises: a role is followed by its name and an import or export by its subject, so that a
//! changed order is no difference; revocations and times of issue are none either. Refuses to judge;
//! [`super::effect`] does.

use std::collections::BTreeSet;

use identity::{Account, PublicKey, SigningKey};
use serde_json::{Map, Value, json};

use super::effect;
use crate::plan::Change;

/// What stands on one side of the comparison.
pub(super) struct Side<'a> {
    pub(super) name: &'a str,
    pub(super) issuer: &'a PublicKey,
    pub(super) expires: Option<i64>,
    pub(super) body: &'a Account,
}

/// The changes that lead from one set of claims to the other.
pub(super) fn between(object: &str, before: &Side<'_>, after: &Side<'_>) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut path = Vec::new();
    walk(object, &mut path, Some(&shape(before)), Some(&shape(after)), &mut changes);
    changes
}

/// The claims with lists turned into maps by what identifies their entries.
fn shape(side: &Side<'_>) -> Value {
    let body = side.body;
    let mut shape = match serde_json::to_value(body) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    for unread in ["type", "version", "revocations", "imports", "exports", "signing_keys"] {
        shape.remove(unread);
    }
    shape.insert("name".to_owned(), json!(side.name));
    shape.insert("issuer".to_owned(), json!(side.issuer));
    if let Some(expires) = side.expires {
        shape.insert("expires".to_owned(), json!(expires));
    }
    let imports = body.imports.iter().map(|import| {
        let local =
            if import.local_subject.is_empty() { &import.subject } else { &import.local_subject };
        (local.clone(), json!(import))
    });
    shape.insert("imports".to_owned(), Value::Object(imports.collect()));
    let exports = body.exports.iter().map(|export| (export.subject.clone(), json!(export)));
    shape.insert("exports".to_owned(), Value::Object(exports.collect()));
    let keys = body.signing_keys.iter().map(|key| match key {
        SigningKey::Plain(key) => (key.to_string(), json!({ "key": key })),
        SigningKey::Scoped(scope) => {
            let (key, template) = (&scope.key, &scope.template);
            let description = &scope.description;
            let entry = json!({ "key": key, "template": template, "description": description });
            (scope.role.clone(), entry)
        }
    });
    shape.insert("signing_keys".to_owned(), Value::Object(keys.collect()));
    Value::Object(shape)
}

fn walk(
    object: &str,
    path: &mut Vec<String>,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<Change>,
) {
    if let (Some(Value::Object(from)), Some(Value::Object(to))) = (before, after) {
        let fields: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
        for field in fields {
            path.push(field.clone());
            walk(object, path, from.get(field), to.get(field), changes);
            path.pop();
        }
        return;
    }
    if same(before, after) {
        return;
    }
    changes.push(Change {
        object: object.to_owned(),
        field: path.join("."),
        before: before.cloned(),
        after: after.cloned(),
        effect: effect::of(path, before, after),
    });
}

/// Lists of subjects have no order.
fn same(before: Option<&Value>, after: Option<&Value>) -> bool {
    match (before, after) {
        (Some(Value::Array(from)), Some(Value::Array(to))) => {
            from.len() == to.len() && from.iter().all(|entry| to.contains(entry))
        }
        _ => before == after,
    }
}
