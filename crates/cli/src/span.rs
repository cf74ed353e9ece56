//! A span of time as it is typed: `500ms`, `2s`, `5m`, `1h`, `30d`.

use std::time::Duration;

/// Longest span that is taken: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

/// Reads a span above zero.
///
/// # Errors
/// What it should have been, in words.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "{text:?} is no span; give a whole number above 0 with ms, s, m, h or d, such as 2s"
        )
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "d" => number.checked_mul(86_400_000),
        _ => None,
    };
    let span = milliseconds.map(Duration::from_millis);
    span.filter(|span| !span.is_zero() && *span <= LONGEST).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_with_its_unit() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("2s", 2_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("30d", 2_592_000_000),
        ] {
            assert_eq!(span(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "2", "s", "0s", "-1s", "1.5s", "2 s", "2w", "99999999999999999h"] {
            assert!(span(text).unwrap_err().contains("such as 2s"), "{text}");
        }
    }
}
