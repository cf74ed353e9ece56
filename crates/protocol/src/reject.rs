//! Why a message cannot be applied: a closed list.
//!
//! The code is what operators filter by: it is a metric label, a subject token of
//! `DEAD_LETTERS`, and a section of docs/dead-letters.md. The detail is for the person who reads
//! one dead letter.

use std::fmt;

use crate::limits::REJECT_DETAIL_MAX_CHARS;

macro_rules! reject {
    ($($(#[$doc:meta])* $variant:ident = $code:literal,)*) => {
        /// Why a message cannot be applied, with a detail for the reader.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Reject {
            $($(#[$doc])* $variant(Detail),)*
        }

        impl Reject {
            /// Every code, in the order of the documentation.
            pub const CODES: &[&'static str] = &[$($code,)*];

            /// The code: one subject token, one metric label.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self { $(Self::$variant(_) => $code,)* }
            }

            /// What is wrong with this one message, in words.
            #[must_use]
            pub fn detail(&self) -> &str {
                match self { $(Self::$variant(detail) => &detail.0,)* }
            }
        }
    };
}

reject! {
    /// The subject is none of the contract's.
    UnknownSubject = "unknown_subject",
    /// The payload is larger than its kind may be.
    Oversized = "oversized",
    /// The payload is not JSON (`NaN` and `Infinity` are not JSON either).
    MalformedJson = "malformed_json",
    /// A field is missing, of the wrong type or outside its rule.
    SchemaViolation = "schema_violation",
    /// The payload names another device, tenant or metric than its subject.
    IdentityMismatch = "identity_mismatch",
    /// The time stamp is no time at which a device can have sent this.
    TimestampOutOfRange = "timestamp_out_of_range",
    /// The database refused this row, and would again.
    RowRejected = "row_rejected",
    /// Every permitted delivery ended without a verdict: it kills or hangs its receiver.
    DeliveriesExhausted = "deliveries_exhausted",
}

/// A short text for the reader of one dead letter: one line, bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail(Box<str>);

impl<T: AsRef<str>> From<T> for Detail {
    fn from(text: T) -> Self {
        let one_line = text
            .as_ref()
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(REJECT_DETAIL_MAX_CHARS)
            .collect::<String>();
        Self(one_line.into_boxed_str())
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.detail())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_subject_tokens_and_details_one_bounded_line() {
        for code in Reject::CODES {
            assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code}");
        }
        let reject = Reject::MalformedJson(format!("a\nb{}", "x".repeat(9_999)).into());
        assert!(reject.detail().starts_with("a b"));
        assert_eq!(reject.detail().chars().count(), REJECT_DETAIL_MAX_CHARS);
    }
}
