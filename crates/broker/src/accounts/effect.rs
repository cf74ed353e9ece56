//! Whether a change cuts somebody off, and whom.
//!
//! Promises: a lower limit, a narrower right, and a removed import, export, role or signing key are
//! destructive; everything else is not.

use serde_json::Value;

use crate::plan::Effect;

/// Lists whose entries allow something; an absent or empty list allows everything.
const ALLOWING: [&str; 3] = ["allow", "allowed_connection_types", "src"];
/// Flags that forbid something.
const FORBIDDING: [&str; 4] =
    ["disallow_bearer", "proxy_required", "token_req", "max_bytes_required"];
/// What decides where an import leads.
const ROUTING: [&str; 4] = ["subject", "account", "type", "local_subject"];

/// What changing the field at `path` does.
pub(super) fn of(path: &[String], before: Option<&Value>, after: Option<&Value>) -> Effect {
    let section = path.first().map_or("", String::as_str);
    let field = path.last().map_or("", String::as_str);
    let entry = path.get(1).map_or("", String::as_str);
    let loss = match section {
        "limits" => limit_loss(field, before, after),
        "imports" if path.len() == 2 && after.is_none() => {
            Some(format!("what the account's users send to or receive from {entry}"))
        }
        "exports" if path.len() == 2 && after.is_none() => {
            Some(format!("what other accounts send to or receive from {entry}"))
        }
        "imports" if ROUTING.contains(&field) && before.is_some() => {
            Some(format!("the way of {entry}: it would lead elsewhere"))
        }
        "exports" if field == "token_req" && after == Some(&Value::Bool(true)) => {
            Some(format!("{entry} for every account without an activation token"))
        }
        "signing_keys" if path.len() == 2 && after.is_none() => {
            Some(format!("the connection of every user of {entry}"))
        }
        "signing_keys" if field == "key" && before.is_some() => {
            Some(format!("the connection of every user of {entry}, until issued again"))
        }
        "signing_keys" => {
            right_loss(path, before, after).map(|loss| format!("{loss}, for every user of {entry}"))
        }
        "default_permissions" => right_loss(path, before, after)
            .map(|loss| format!("{loss}, for users without rights of their own")),
        "expires" => after.map(|_| "every connection when the account expires".to_owned()),
        _ => None,
    };
    match (loss, before, after) {
        (Some(loses), _, _) => Effect::Destructive { loses },
        (None, None, _) => Effect::Create,
        (None, Some(_), None) => Effect::Remove,
        (None, Some(_), Some(_)) => Effect::Update,
    }
}

/// What a change of an account's limit loses. An absent limit is 0 here.
fn limit_loss(field: &str, before: Option<&Value>, after: Option<&Value>) -> Option<String> {
    let flag = |value: Option<&Value>| value.and_then(Value::as_bool).unwrap_or_default();
    if field == "wildcards" {
        return (flag(before) && !flag(after)).then(|| "every export with a wildcard".to_owned());
    }
    if FORBIDDING.contains(&field) {
        let forbidden = flag(after) && !flag(before);
        return forbidden.then(|| format!("what {field} forbids"));
    }
    let number = |value: Option<&Value>| value.and_then(Value::as_i64).unwrap_or_default();
    lowered(number(before), number(after)).then(|| beyond(field, number(after)))
}

/// What a change of a role's rights or limits loses. An absent limit is none there.
fn right_loss(path: &[String], before: Option<&Value>, after: Option<&Value>) -> Option<String> {
    let field = path.last().map_or("", String::as_str);
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let (from, to) = (list(before), list(after));
    if ALLOWING.contains(&field) {
        if to.is_empty() {
            return None;
        }
        if from.is_empty() {
            return Some(format!("everything but {}", shown(&to)));
        }
        let gone: Vec<Value> = from.into_iter().filter(|entry| !to.contains(entry)).collect();
        return (!gone.is_empty()).then(|| format!("{} ({})", shown(&gone), kind(path)));
    }
    if field == "deny" {
        let new: Vec<Value> = to.into_iter().filter(|entry| !from.contains(entry)).collect();
        return (!new.is_empty()).then(|| format!("{} ({})", shown(&new), kind(path)));
    }
    if FORBIDDING.contains(&field) {
        let forbidden = after == Some(&Value::Bool(true));
        return forbidden.then(|| format!("what {field} forbids"));
    }
    let number = |value: Option<&Value>| value.and_then(Value::as_i64);
    let limits = before.is_none_or(Value::is_number) && after.is_some_and(Value::is_number);
    let (from, to) = (number(before).unwrap_or(-1), number(after).unwrap_or(-1));
    (limits && lowered(from, to)).then(|| beyond(field, to))
}

const fn lowered(from: i64, to: i64) -> bool {
    to >= 0 && (from < 0 || to < from)
}

fn beyond(field: &str, limit: i64) -> String {
    let what = match field {
        "conn" => "connections",
        "leaf" => "leaf node connections",
        "subs" => "subscriptions a connection",
        "payload" => "messages of more bytes",
        other => other,
    };
    format!("{what} beyond {limit}")
}

fn kind(path: &[String]) -> &'static str {
    let is = |wanted: &str| path.iter().any(|part| part == wanted);
    if is("pub") {
        "publishing"
    } else if is("sub") {
        "subscribing"
    } else {
        "connecting"
    }
}

fn shown(values: &[Value]) -> String {
    let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn loses(path: &str, before: Option<Value>, after: Option<Value>) -> Option<String> {
        let path: Vec<String> = path.split('/').map(str::to_owned).collect();
        match of(&path, before.as_ref(), after.as_ref()) {
            Effect::Destructive { loses } => Some(loses),
            _ => None,
        }
    }

    #[test]
    fn lower_limits_cut_off_and_higher_ones_do_not() {
        for (from, to) in [(-1, 5), (10, 5), (10, 0)] {
            assert!(loses("limits/conn", Some(json!(from)), Some(json!(to))).is_some(), "{from}");
        }
        for (from, to) in [(5, -1), (5, 10), (0, 5)] {
            assert!(loses("limits/conn", Some(json!(from)), Some(json!(to))).is_none(), "{from}");
        }
        assert!(loses("limits/conn", Some(json!(5)), None).is_some(), "left out means 0");
        assert!(
            loses("signing_keys/device/template/subs", Some(json!(-1)), Some(json!(9))).is_some()
        );
    }

    #[test]
    fn narrower_rights_cut_off_and_wider_ones_do_not() {
        let allow = "signing_keys/device/template/pub/allow";
        let gone = loses(allow, Some(json!(["a", "b"])), Some(json!(["b", "c"])));
        assert_eq!(gone.unwrap(), "a (publishing), for every user of device");
        assert!(loses(allow, Some(json!(["a"])), Some(json!(["a", "b"]))).is_none());
        assert!(loses(allow, None, Some(json!(["a"]))).is_some(), "none listed allowed everything");
        let deny = "signing_keys/device/template/sub/deny";
        assert!(loses(deny, None, Some(json!(["a"]))).is_some());
        assert!(loses(deny, Some(json!(["a"])), None).is_none());
    }

    #[test]
    fn what_is_taken_away_whole_says_so() {
        for path in ["imports/a.*", "exports/a.*", "signing_keys/device"] {
            assert!(loses(path, Some(json!({})), None).is_some(), "{path}");
            assert!(loses(path, None, Some(json!({}))).is_none(), "{path}");
        }
        assert!(loses("signing_keys/device/key", Some(json!("A")), Some(json!("B"))).is_some());
        assert!(loses("imports/a/subject", Some(json!("a")), Some(json!("b"))).is_some());
        assert!(loses("description", Some(json!("a")), Some(json!("b"))).is_none());
    }
}
