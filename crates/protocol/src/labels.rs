//! Labels: what people call a device by, beside its id. A device reports its own; operators set
//! theirs, which win.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::limits::{LABEL_KEY_MAX_BYTES, LABEL_VALUE_MAX_CHARS, LABELS_MAX};

/// Keys with their values, within the limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Labels(BTreeMap<String, String>);

/// Why a label is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LabelError {
    /// The key is outside the rule.
    #[error(
        "label key {0:?}: give 1 to {LABEL_KEY_MAX_BYTES} characters of [a-z0-9._-], the first of \
         [a-z0-9]"
    )]
    Key(String),
    /// The value is outside the rule.
    #[error(
        "label {key} has {value:?}: give 1 to {LABEL_VALUE_MAX_CHARS} characters without line ends \
         or other control characters"
    )]
    Value {
        /// Of which label.
        key: String,
        /// What it has.
        value: String,
    },
    /// One more than a device may have.
    #[error("more than {LABELS_MAX} labels; remove some")]
    TooMany,
    /// Not `key=value`.
    #[error("{0:?} is no label; give key=value")]
    Pair(String),
}

impl Labels {
    /// Adds a label, or changes it.
    ///
    /// # Errors
    /// Key or value is outside the rule, or there are too many.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), LabelError> {
        check_key(key)?;
        let length = value.chars().count();
        if !(1..=LABEL_VALUE_MAX_CHARS).contains(&length) || value.chars().any(char::is_control) {
            let value = value.chars().take(LABEL_VALUE_MAX_CHARS).collect();
            return Err(LabelError::Value { key: key.to_owned(), value });
        }
        if self.0.len() == LABELS_MAX && !self.0.contains_key(key) {
            return Err(LabelError::TooMany);
        }
        self.0.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    /// Adds a label that is written `key=value`.
    ///
    /// # Errors
    /// As [`Labels::set`]; or there is no `=`.
    pub fn set_pair(&mut self, pair: &str) -> Result<(), LabelError> {
        let shown = || pair.chars().take(LABEL_VALUE_MAX_CHARS).collect();
        let (key, value) = pair.split_once('=').ok_or_else(|| LabelError::Pair(shown()))?;
        self.set(key, value)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys with values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// # Errors
/// The key is outside the rule.
pub fn check_key(key: &str) -> Result<(), LabelError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let allowed = |byte: u8| plain(byte) || matches!(byte, b'.' | b'_' | b'-');
    let bytes = key.as_bytes();
    let good = bytes.first().is_some_and(|first| plain(*first))
        && bytes.len() <= LABEL_KEY_MAX_BYTES
        && bytes.iter().all(|byte| allowed(*byte));
    if good {
        return Ok(());
    }
    Err(LabelError::Key(key.chars().take(LABEL_KEY_MAX_BYTES).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_a_plain_key_and_a_printable_value() {
        let mut labels = Labels::default();
        labels.set_pair("site=Köln, floor 2").unwrap();
        labels.set_pair("rack.row=a=b").unwrap();
        let listed: Vec<_> = labels.iter().collect();
        assert_eq!(listed, [("rack.row", "a=b"), ("site", "Köln, floor 2")]);
        let long = "x".repeat(LABEL_KEY_MAX_BYTES + 1);
        for key in ["", "Site", "-a", ".a", "a b", "ä", &long] {
            assert!(matches!(labels.set(key, "x"), Err(LabelError::Key(_))), "{key}");
        }
        let long = "x".repeat(LABEL_VALUE_MAX_CHARS + 1);
        for value in ["", "a\nb", "\u{1b}[31m", &long] {
            assert!(matches!(labels.set("a", value), Err(LabelError::Value { .. })), "{value:?}");
        }
        assert_eq!(labels.set_pair("site"), Err(LabelError::Pair("site".to_owned())));
    }

    #[test]
    fn there_is_a_bound_and_a_change_is_within_it() {
        let mut labels = Labels::default();
        for number in 0..LABELS_MAX {
            labels.set(&format!("k{number}"), "v").unwrap();
        }
        assert_eq!(labels.set("one-more", "v"), Err(LabelError::TooMany));
        labels.set("k0", "changed").unwrap();
    }
}
