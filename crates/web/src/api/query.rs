//! Reading what a request says: each part is checked, and a bad one is named with its remedy.

use std::str::FromStr;

use protocol::UnixMillis;

use serde::Deserialize;

use crate::problem::Problem;

/// A request without parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoQuery {}

pub(super) const UUID_REMEDY: &str = "give a UUID: 8-4-4-4-12 hexadecimal digits";
pub(super) const METRIC_REMEDY: &str = "give 1 to 64 characters of [a-z0-9_], such as cpu_percent";
pub(super) const TIME_REMEDY: &str = "give milliseconds since 1970-01-01 UTC";
/// The last millisecond of the year 9999; databases and people know no later ones.
const TIME_MAX_MS: i64 = 253_402_300_799_999;

pub(super) fn parse<T: FromStr>(
    field: &'static str,
    text: &str,
    remedy: &str,
) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::bad_value(field, text, remedy))
}

/// As [`parse`], where there is a text.
pub(super) fn parse_some<T: FromStr>(
    field: &'static str,
    text: Option<&str>,
    remedy: &str,
) -> Result<Option<T>, Problem> {
    text.map(|text| parse(field, text, remedy)).transpose()
}

/// A whole number from 1 to `max`.
pub(super) fn number(
    field: &'static str,
    text: Option<&str>,
    default: u32,
    max: u32,
) -> Result<u32, Problem> {
    let Some(text) = text else {
        return Ok(default);
    };
    match text.parse() {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        _ => Err(Problem::bad_value(field, text, &format!("give a whole number from 1 to {max}"))),
    }
}

pub(super) fn time(field: &'static str, text: Option<&str>) -> Result<Option<UnixMillis>, Problem> {
    let Some(text) = text else {
        return Ok(None);
    };
    match text.parse() {
        Ok(at) if (0..=TIME_MAX_MS).contains(&at) => Ok(Some(UnixMillis::new(at))),
        _ => Err(Problem::bad_value(field, text, TIME_REMEDY)),
    }
}

/// A row's number, as an answer before gave it.
pub(super) fn row_number(field: &'static str, text: Option<&str>) -> Result<Option<i64>, Problem> {
    let number: Option<i64> = parse_some(field, text, "give the number that `next` said")?;
    match number {
        Some(number) if number < 1 => {
            Err(Problem::bad_value(field, &number.to_string(), "give the number that `next` said"))
        }
        known => Ok(known),
    }
}

/// `text`, where it has at most `max` characters and no control character.
pub(super) fn words<'a>(
    field: &'static str,
    text: &'a str,
    max: usize,
) -> Result<&'a str, Problem> {
    if text.chars().count() > max || text.chars().any(char::is_control) {
        let remedy = format!("give up to {max} characters without control characters");
        return Err(Problem::bad_value(field, text, &remedy));
    }
    Ok(text)
}
