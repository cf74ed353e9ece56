//! Subjects with wildcards: which are valid, which lie within another, how many wildcards.

/// Whether the server takes this as a subject with wildcards.
pub(super) fn is_valid(subject: &str) -> bool {
    let tokens: Vec<&str> = subject.split('.').collect();
    let last = tokens.len() - 1;
    tokens.iter().enumerate().all(|(at, token)| {
        let plain = token.chars().all(|c| !c.is_whitespace() && !c.is_control());
        !token.is_empty() && plain && (*token != ">" || at == last)
    })
}

/// Whether everything that `inner` matches is matched by `outer` too.
pub(super) fn within(inner: &str, outer: &str) -> bool {
    let (mut inner, mut outer) = (inner.split('.'), outer.split('.'));
    loop {
        match (inner.next(), outer.next()) {
            (None, None) | (Some(_), Some(">")) => return true,
            (Some(a), Some(b)) if a != ">" && (a == b || b == "*") => {}
            _ => return false,
        }
    }
}

/// The subject that `$1`, `$2` … stand in, with `*` in their place.
pub(super) fn without_references(subject: &str) -> String {
    let tokens: Vec<&str> = subject
        .split('.')
        .map(|token| if reference(token).is_some() { "*" } else { token })
        .collect();
    tokens.join(".")
}

/// The wildcard that a token such as `$2` refers to.
pub(super) fn reference(token: &str) -> Option<usize> {
    token.strip_prefix('$')?.parse().ok()
}

/// How many single-token wildcards there are.
pub(super) fn wildcards(subject: &str) -> usize {
    subject.split('.').filter(|token| *token == "*").count()
}
