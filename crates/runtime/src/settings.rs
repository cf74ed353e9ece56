//! Settings, declared as data so that the documentation cannot drift; from the environment, unless
//! the caller has other places too.
//!
//! Promises: every mistake is reported at once, with the setting, the value and the remedy; the
//! value of a secret is never repeated. Refuses: to guess. A value that does not parse is an
//! error, never the default.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// One setting, as documented in docs/configuration.md.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Name of the environment variable.
    pub name: &'static str,
    /// Value taken where the variable is absent or empty; `None` where there is none.
    pub default: Option<&'static str>,
    /// Unit or form of the value, for the documentation.
    pub unit: &'static str,
    /// One sentence for the operator.
    pub help: &'static str,
}

/// Settings as a markdown table, one row each; what every binary prints at `--settings`.
///
/// A setting that several parts share is listed once.
#[must_use]
pub fn markdown_table(settings: &[Setting]) -> String {
    let mut table = String::from("| setting | default | unit | meaning |\n|---|---|---|---|\n");
    let mut seen = BTreeSet::new();
    for setting in settings {
        if !seen.insert(setting.name) {
            continue;
        }
        let default = setting.default.map_or("none".to_owned(), |value| format!("`{value}`"));
        let cells = [&format!("`{}`", setting.name), &default, setting.unit, setting.help];
        for cell in cells {
            table.push_str("| ");
            table.push_str(&cell.replace('|', "\\|"));
            table.push(' ');
        }
        table.push_str("|\n");
    }
    table
}

/// One mistake in the settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    place: String,
    problem: String,
}

/// A value and where it was given.
#[derive(Clone, Debug)]
pub struct Given {
    /// The value as text.
    pub value: String,
    /// Where, if not in the environment: a key of a file with its path, or a flag.
    pub place: Option<String>,
}

/// Every mistake in the settings.
#[derive(Debug, Default, thiserror::Error, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} setting(s) cannot be used", self.0.len())?;
        for mistake in &self.0 {
            write!(f, "\n  {}: {}", mistake.place, mistake.problem)?;
        }
        Ok(())
    }
}

/// Finds a setting's value by its name.
type Lookup = Box<dyn Fn(&str) -> Option<Given>>;

/// Reads settings and collects the mistakes.
pub struct Reader {
    lookup: Lookup,
    mistakes: Vec<Mistake>,
}

impl Reader {
    /// Reads this process's environment.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::from_places(from_environment)
    }

    /// Reads from `lookup` instead.
    #[must_use]
    pub fn new(lookup: fn(&str) -> Option<String>) -> Self {
        Self::from_places(move |name| lookup(name).map(|value| Given { value, place: None }))
    }

    /// Reads from `lookup`, which knows where each value was given.
    #[must_use]
    pub fn from_places(lookup: impl Fn(&str) -> Option<Given> + 'static) -> Self {
        Self { lookup: Box::new(lookup), mistakes: Vec::new() }
    }

    /// The value or its default; an absent value without default is a mistake.
    pub fn text(&mut self, setting: &Setting) -> String {
        match self.optional(setting) {
            Some(value) => value,
            None => {
                self.mistake(setting, format!("is not set; give {}", setting.unit));
                String::new()
            }
        }
    }

    /// The value, its default, or nothing.
    pub fn optional(&mut self, setting: &Setting) -> Option<String> {
        let given = (self.lookup)(setting.name).map(|given| given.value);
        let given = given.filter(|value| !value.is_empty());
        given.or_else(|| setting.default.map(str::to_owned))
    }

    /// A secret: kept out of every log and error.
    pub fn secret(&mut self, setting: &Setting) -> Option<SecretString> {
        self.optional(setting).map(SecretString::from)
    }

    /// A path, its default, or nothing.
    pub fn path(&mut self, setting: &Setting) -> Option<PathBuf> {
        self.optional(setting).map(PathBuf::from)
    }

    /// A whole number within `range`.
    pub fn number<T>(&mut self, setting: &Setting, range: RangeInclusive<T>) -> T
    where
        T: std::str::FromStr + PartialOrd + fmt::Display + Copy,
    {
        let value = self.text(setting);
        match value.parse::<T>() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (low, high) = (range.start(), range.end());
                let remedy = format!("is {value:?}; give {} from {low} to {high}", setting.unit);
                self.mistake(setting, remedy);
                *range.start()
            }
        }
    }

    /// A duration given as a whole number of seconds within `range`.
    pub fn seconds(&mut self, setting: &Setting, range: RangeInclusive<u64>) -> Duration {
        Duration::from_secs(self.number(setting, range))
    }

    /// A duration given as a whole number of milliseconds within `range`.
    pub fn milliseconds(&mut self, setting: &Setting, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.number(setting, range))
    }

    /// One of a few words.
    pub fn one_of(&mut self, setting: &Setting, words: &[&'static str]) -> &'static str {
        let value = self.text(setting);
        match words.iter().find(|word| **word == value) {
            Some(word) => word,
            None => {
                self.mistake(setting, format!("is {value:?}; give one of {}", words.join(", ")));
                words.first().copied().unwrap_or_default()
            }
        }
    }

    /// A value of a type that parses itself; its error text becomes the remedy.
    pub fn parse<T>(&mut self, setting: &Setting) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        let value = self.optional(setting)?;
        match value.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.mistake(setting, format!("{error}; give {}", setting.unit));
                None
            }
        }
    }

    /// Notes a mistake that only the caller can see, such as two settings that exclude each other.
    pub fn mistake(&mut self, setting: &Setting, problem: String) {
        let place = (self.lookup)(setting.name).and_then(|given| given.place);
        self.mistake_at(place.unwrap_or_else(|| setting.name.to_owned()), problem);
    }

    /// Notes a mistake in what is no declared setting, such as a key of a file.
    pub fn mistake_at(&mut self, place: String, problem: String) {
        self.mistakes.push(Mistake { place, problem });
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Every mistake that was made.
    pub fn finish(self) -> Result<(), Mistakes> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(Mistakes(self.mistakes)) }
    }
}

/// A variable of this process's environment; an empty one counts as absent.
#[must_use]
pub fn from_environment(name: &str) -> Option<Given> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(Given { value, place: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: Setting = Setting { name: "PORT", default: Some("6379"), unit: "a port", help: "" };
    const URL: Setting = Setting { name: "URL", default: None, unit: "a URL", help: "" };
    const FORMAT: Setting =
        Setting { name: "FORMAT", default: Some("human"), unit: "a word", help: "" };

    #[test]
    fn defaults_hold_where_nothing_is_given() {
        let mut reader = Reader::new(|_| None);
        assert_eq!(reader.number::<u16>(&PORT, 1..=u16::MAX), 6379);
        assert_eq!(reader.one_of(&FORMAT, &["human", "json"]), "human");
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn a_table_lists_each_setting_once_and_keeps_its_columns() {
        const WORD: Setting = Setting { name: "WORD", default: None, unit: "a|b", help: "Which." };
        assert_eq!(
            markdown_table(&[PORT, WORD, PORT]),
            "| setting | default | unit | meaning |\n|---|---|---|---|\n\
             | `PORT` | `6379` | a port |  |\n| `WORD` | none | a\\|b | Which. |\n"
        );
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_remedy() {
        let mut reader = Reader::from_places(|name| match name {
            "URL" => None,
            "PORT" => Some(Given { value: "x".to_owned(), place: Some("port in file".to_owned()) }),
            _ => Some(Given { value: "x".to_owned(), place: None }),
        });
        reader.number::<u16>(&PORT, 1..=u16::MAX);
        reader.text(&URL);
        reader.one_of(&FORMAT, &["human", "json"]);
        assert_eq!(
            reader.finish().unwrap_err().to_string(),
            "3 setting(s) cannot be used\n  port in file: is \"x\"; give a port from 1 to 65535\n  \
             URL: is not set; give a URL\n  FORMAT: is \"x\"; give one of human, json"
        );
    }
}
