//! What is wrong with a connection, and what to do about it, apart from each other.

use serde::{Deserialize, Serialize};

use crate::refusal::remedy;

/// Longest text of another program that is repeated, in characters.
const REPEATED_MAX_CHARS: usize = 200;

/// What is wrong, in plain words, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Trouble {
    /// Joins the two.
    #[must_use]
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

/// What a failed attempt to connect means.
pub(crate) fn of_connection(said: &str) -> Trouble {
    let Some(explained) = remedy(said) else {
        let said: String = said.chars().take(REPEATED_MAX_CHARS).collect();
        let what = format!("no connection to the broker: {said}");
        return Trouble::new(what, "look at the broker's log and at NATS_URL");
    };
    // A meaning says first what is wrong.
    let end = [explained.find("; "), explained.find(". ")].into_iter().flatten().min();
    let (what, remedy) = explained.split_at(end.unwrap_or(explained.len()));
    Trouble::new(what, remedy.trim_start_matches([';', '.', ' ']))
}

/// The credentials file is no longer what it was.
pub(crate) fn of_credentials_file(problem: &str) -> Trouble {
    Trouble::new(
        format!("the credentials cannot be used: {problem}"),
        "put usable ones in their place; they are read at the next try",
    )
}

pub(crate) fn not_yet() -> Trouble {
    Trouble::new("the connection is being made", "wait a moment")
}

/// Whether the broker refuses who we are, rather than being away.
pub(crate) fn is_of_credentials(said: &str) -> bool {
    let said = said.to_lowercase();
    said.contains("authorization violation") || said.contains("authentication")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_stands_apart_from_what_to_do() {
        let trouble = of_connection("IO error: Connection refused (os error 111)");
        assert_eq!(trouble.what, "no broker listens there");
        assert_eq!(trouble.remedy, "start nats-server, or correct NATS_URL");
        let trouble = of_connection("nats: authorization violation");
        assert!(trouble.what.ends_with("another installation"), "{trouble}");
        assert!(trouble.remedy.starts_with("wegweiser device show"), "{trouble}");
    }

    #[test]
    fn what_is_not_known_is_repeated_within_a_bound() {
        let trouble = of_connection(&"x".repeat(10_000));
        assert!(trouble.what.chars().count() < 2 * REPEATED_MAX_CHARS, "{trouble}");
    }
}
