//! What this device's own configuration lets a `run` command start.
//!
//! Promises: a program is named by the very path that the configuration has, and each argument fits
//! the pattern at its place, as many as there are patterns. No shell and no glob is between.
//! Refuses: a path that leaves its folder, by `..` or by a link.

use std::path::{Component, Path, PathBuf};

/// Longest number, in digits.
const NUMBER_MAX_DIGITS: usize = 18;
/// Longest name, in bytes.
const NAME_MAX_BYTES: usize = 128;

/// A program and what it may be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AllowedProgram {
    /// As a command has to name it.
    pub(crate) path: String,
    pub(crate) arguments: Vec<Pattern>,
}

/// What one argument may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// This text.
    Literal(String),
    /// `{number}`: digits.
    Number,
    /// `{name}`: letters, digits and `. _ @ : -`, the first a letter or digit.
    Name,
    /// `{path:/folder}`: a file or folder that is there, in this one.
    PathIn(PathBuf),
}

impl Pattern {
    /// # Errors
    /// Braces around something else.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some(inner) = text.strip_prefix('{') else { return Ok(Self::Literal(text.to_owned())) };
        let wrong = || {
            format!("{text:?} is no pattern; give {{number}}, {{name}}, {{path:/folder}} or a text")
        };
        let inner = inner.strip_suffix('}').ok_or_else(wrong)?;
        match inner.split_once(':') {
            None if inner == "number" => Ok(Self::Number),
            None if inner == "name" => Ok(Self::Name),
            Some(("path", folder)) if Path::new(folder).is_absolute() => {
                Ok(Self::PathIn(folder.into()))
            }
            _ => Err(wrong()),
        }
    }

    fn fits(&self, argument: &str) -> bool {
        match self {
            Self::Literal(text) => argument == text,
            Self::Number => {
                (1..=NUMBER_MAX_DIGITS).contains(&argument.len())
                    && argument.bytes().all(|byte| byte.is_ascii_digit())
            }
            Self::Name => {
                let allowed = |byte: u8| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'@' | b':' | b'-')
                };
                argument.len() <= NAME_MAX_BYTES
                    && argument.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
                    && argument.bytes().all(allowed)
            }
            Self::PathIn(folder) => is_within(Path::new(argument), folder),
        }
    }
}

/// Whether the path, links followed, is of something in the folder, links followed.
fn is_within(path: &Path, folder: &Path) -> bool {
    let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    if !path.is_absolute() || !path.components().all(plain) {
        return false;
    }
    let (Ok(path), Ok(folder)) = (path.canonicalize(), folder.canonicalize()) else {
        return false;
    };
    path.starts_with(folder)
}

/// Whether one of the entries lets this be started.
///
/// # Errors
/// None does; the text says what is missing.
pub(super) fn check(
    programs: &[AllowedProgram],
    path: &str,
    arguments: &[String],
) -> Result<(), String> {
    const EXCERPT_CHARS: usize = 120;
    let mut known = false;
    for program in programs.iter().filter(|program| program.path == path) {
        known = true;
        let patterns = &program.arguments;
        let fit = patterns.iter().zip(arguments).all(|(pattern, given)| pattern.fits(given));
        if patterns.len() == arguments.len() && fit {
            return Ok(());
        }
    }
    let shown: String = path.chars().take(EXCERPT_CHARS).collect();
    if known {
        return Err(format!(
            "this device's configuration allows {shown:?}, but not with these {} arguments; see \
             [commands.run] there",
            arguments.len()
        ));
    }
    Err(format!(
        "this device's configuration does not allow {shown:?}; its owner may add it to \
         [commands.run]"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(patterns: &[&str]) -> Vec<AllowedProgram> {
        let arguments = patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect();
        vec![AllowedProgram { path: "/usr/bin/tail".to_owned(), arguments }]
    }

    fn may(patterns: &[&str], arguments: &[&str]) -> bool {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        check(&allowed(patterns), "/usr/bin/tail", &arguments).is_ok()
    }

    #[test]
    fn a_program_is_named_by_the_very_path_of_the_configuration() {
        let allowed = allowed(&[]);
        assert!(check(&allowed, "/usr/bin/tail", &[]).is_ok());
        for other in ["tail", "/usr/bin/../bin/tail", "/usr//bin/tail", "/bin/sh", "/usr/bin/tail "]
        {
            let error = check(&allowed, other, &[]).unwrap_err();
            assert!(error.contains("does not allow"), "{other}: {error}");
        }
        assert!(check(&[], "/usr/bin/tail", &[]).is_err(), "none by default");
    }

    #[test]
    fn each_argument_fits_the_pattern_at_its_place() {
        assert!(may(&["-n", "{number}", "{name}"], &["-n", "100", "nginx.service"]));
        for wrong in [
            &["-n", "100"] as &[&str],
            &["-n", "100", "nginx", "more"],
            &["-n", "1e3", "nginx"],
            &["-n", "", "nginx"],
            &["-n", "1234567890123456789", "nginx"],
            &["-f", "100", "nginx"],
            &["-n", "100", "-nginx"],
            &["-n", "100", "; rm -rf /"],
            &["-n", "100", "$(id)"],
            &["-n", "100", "a/b"],
            &["-n", "100", ".."],
            &["-n", "100", "a\nb"],
        ] {
            assert!(!may(&["-n", "{number}", "{name}"], wrong), "{wrong:?}");
        }
        for odd in ["{numbers}", "{path:var}", "{", "{}", "{path}"] {
            assert!(Pattern::parse(odd).is_err(), "{odd}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_stays_in_its_folder_whatever_it_is_written_like() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("logs");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("a.log"), "").unwrap();
        std::fs::write(dir.path().join("secret"), "").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret"), folder.join("link")).unwrap();
        let pattern = format!("{{path:{}}}", folder.display());
        let is = |path: String| may(&[&pattern], &[&path]);
        let inside = folder.display();
        assert!(is(format!("{inside}/a.log")));
        for outside in [
            format!("{inside}/../secret"),
            format!("{inside}/link"),
            format!("{inside}/missing"),
            format!("{inside}x"),
            "a.log".to_owned(),
            "/etc/passwd".to_owned(),
            String::new(),
        ] {
            assert!(!is(outside.clone()), "{outside}");
        }
    }
}
