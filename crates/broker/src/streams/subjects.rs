//! Subject patterns: which are valid, which meet, which lie within another.
//!
//! Promises: the answers of nats-server's `IsValidSubject`, `SubjectsCollide` and
//! `subjectIsSubsetMatch`. Refuses nothing; it only answers.

/// Whether the server takes this as a subject with wildcards.
pub(super) fn is_valid(subject: &str) -> bool {
    if subject.is_empty() {
        return false;
    }
    let mut tokens = subject.split('.').peekable();
    while let Some(token) = tokens.next() {
        let printable = token.chars().all(|c| !c.is_whitespace() && !c.is_control());
        if token.is_empty() || !printable || (token == ">" && tokens.peek().is_some()) {
            return false;
        }
    }
    true
}

/// Whether some subject matches both.
pub(super) fn meet(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
            _ => return false,
        }
    }
}

/// Whether everything that `inner` matches is matched by `outer` too.
pub(super) fn within(inner: &str, outer: &str) -> bool {
    let (mut inner, mut outer) = (inner.split('.'), outer.split('.'));
    loop {
        match (inner.next(), outer.next()) {
            (None, None) => return true,
            (Some(_), Some(">")) => return true,
            (Some(">"), _) => return false,
            (Some(a), Some(b)) if a == b || b == "*" => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_meet_as_the_server_says() {
        assert!(meet("tenant.*.device.*.response", "tenant.a.device.>"));
        assert!(meet("a.*", "*.b"));
        assert!(!meet("a.*", "a.b.c"));
        assert!(!meet("a.>", "a"));
        assert!(!meet("tenant.*.demo.system.*.*", "tenant.*.device.*.status.heartbeat"));
    }

    #[test]
    fn a_narrower_pattern_lies_within_a_wider_one_and_not_the_other_way_round() {
        assert!(within("dead.A.b", "dead.>"));
        assert!(within("a.*", "a.*"));
        assert!(!within("a.>", "a.*"));
        assert!(!within("a.*", "a.b"));
        assert!(!within("dead", "dead.>"));
    }

    #[test]
    fn empty_tokens_spaces_and_an_early_greater_sign_are_no_subject() {
        assert!(is_valid("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"));
        for bad in ["", "a..b", ".a", "a.", "a b", "a.>.b"] {
            assert!(!is_valid(bad), "{bad:?}");
        }
    }
}
