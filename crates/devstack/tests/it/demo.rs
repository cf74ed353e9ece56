//! The README's first command, from nothing to its end, and what it shows of its secrets.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::support::{Stack, descendants};

/// `make demo` runs there.
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A demo is for a person who looks at it: two at once would both take the port that people know.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Words that must not be seen, wherever they were found.
#[derive(Default)]
struct Secrets(BTreeSet<String>);

impl Secrets {
    /// Seeds and tokens of every key and creds file, and the passwords of the servers.
    fn of(stack: &Path) -> Self {
        let mut secrets = Self::default();
        for path in
            files_below(&stack.join("keys")).iter().chain(&files_below(&stack.join("creds")))
        {
            let text = fs::read_to_string(path).unwrap();
            secrets.0.extend(text.lines().filter(|line| is_secret(line)).map(str::to_owned));
        }
        for path in files_below(&stack.join("secrets")) {
            secrets.0.extend(fs::read_to_string(path).unwrap().lines().map(str::to_owned));
        }
        let environment = fs::read_to_string(stack.join("env")).unwrap();
        let passwords = environment.split("://").skip(1).filter_map(|rest| {
            let (user_and_password, _) = rest.split_once('@')?;
            Some(user_and_password.split_once(':')?.1.to_owned())
        });
        secrets.0.extend(passwords);
        secrets
    }

    /// Panics with the place, not with the secret.
    fn assert_absent(&self, place: &str, text: &str) {
        assert!(!self.0.iter().any(|secret| text.contains(secret)), "{place} shows a secret");
        let shown = text.split(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c));
        assert_eq!(
            shown.filter(|word| is_secret(word)).count(),
            0,
            "{place} shows a seed or token"
        );
    }
}

/// What tokens and links of ours begin with.
const TOKENS: [&str; 4] =
    ["wegweiser_api_", "wegweiser_enroll_", "wegweiser_link_", "wegweiser_session_"];
/// Characters of a token's random part, at least.
const TOKEN_RANDOM_CHARS: usize = 40;

/// A seed of any nkey, a JWT, or a token.
fn is_secret(word: &str) -> bool {
    let is_seed = word.len() == 58
        && word.starts_with('S')
        && word.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b));
    let is_token = TOKENS.iter().any(|prefix| {
        word.split_once(prefix).is_some_and(|(_, random)| random.len() >= TOKEN_RANDOM_CHARS)
    });
    is_seed || is_token || (word.starts_with("eyJ") && word.matches('.').count() == 2)
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else { return found };
    for entry in entries.flatten() {
        // The templates of the repository's own stack are linked, and not of this run.
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_below(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}

/// One of our programs beside this test's, with everything that the local stack says of itself.
fn with_environment(stack: &Path, shell: &str) -> Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_devstack")).parent().unwrap();
    let script = format!(". {}/env; PATH={}:$PATH; {shell}", stack.display(), programs.display());
    Command::new("sh").args(["-c", &script]).current_dir(REPOSITORY).output().unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn the_demo_arrives_wholly_and_shows_no_secret_in_logs_processes_or_errors() {
    let _one_at_a_time = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let stack = Stack::new();
    let outputs = tempfile::tempdir().unwrap();
    let output = outputs.path().join("demo.out");
    let mut demo = stack
        .command(&["demo", "--for", "15s"])
        .current_dir(REPOSITORY)
        .stdin(Stdio::null())
        .stdout(fs::File::create(&output).unwrap())
        .stderr(fs::File::options().append(true).open(&output).unwrap())
        .spawn()
        .unwrap();
    let mut command_lines = BTreeSet::new();
    let mut refusals = Vec::new();
    let status = loop {
        if let Some(status) = demo.try_wait().unwrap() {
            break status;
        }
        for process in descendants(demo.id()) {
            let line = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
            command_lines.insert(String::from_utf8_lossy(&line).replace('\0', " "));
        }
        let printed = fs::read_to_string(&output).unwrap();
        if refusals.is_empty() && printed.contains("stop it     Ctrl-C") {
            refusals = provoke_refusals(stack.path(), outputs.path());
        }
        std::thread::yield_now();
    };
    let printed = fs::read_to_string(&output).unwrap();
    assert!(status.success(), "{status}\n{printed}");
    assert!(printed.contains("arrived: "), "{printed}");
    assert!(printed.contains("wegweiser user link"), "how to sign in:\n{printed}");

    let secrets = Secrets::of(stack.path());
    assert!(secrets.0.len() > 20, "{} secrets to look for", secrets.0.len());
    secrets.assert_absent("what the demo printed", &printed);
    for program in ["wegweiser-receiver", "wegweiser-agent", "wegweiser-web", "nats-server"] {
        assert!(command_lines.iter().any(|line| line.contains(program)), "{program} was not seen");
    }
    for line in &command_lines {
        secrets.assert_absent("a process list", line);
    }
    let logs: Vec<_> = files_below(stack.path())
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    assert!(logs.len() > 7, "{logs:?}");
    for log in &logs {
        let text = String::from_utf8_lossy(&fs::read(log).unwrap()).into_owned();
        secrets.assert_absent(&log.display().to_string(), &text);
    }
    assert_eq!(refusals.len(), 4, "the demo was over before it could be asked");
    for (what, output) in &refusals {
        assert!(!output.status.success(), "{what}: {}", said(output));
        secrets.assert_absent(what, &said(output));
    }
}

/// Errors that have to do with a credential, each with what was wrong.
fn provoke_refusals(stack: &Path, scratch: &Path) -> Vec<(&'static str, Output)> {
    let operator = fs::read_to_string(stack.join("creds/operator.creds")).unwrap();
    let (torn, changed) = (scratch.join("torn.creds"), scratch.join("changed.creds"));
    let seed = operator.lines().find(|line| is_secret(line) && line.starts_with('S')).unwrap();
    fs::write(&torn, operator.split_once(&seed[30..]).unwrap().0).unwrap();
    let signature = operator.rfind("\n------END NATS USER JWT").unwrap() - 3;
    let mut bytes = operator.into_bytes();
    bytes[signature] = if bytes[signature] == b'A' { b'B' } else { b'A' };
    fs::write(&changed, bytes).unwrap();
    for path in [&torn, &changed] {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let with = |creds: &Path| format!("NATS_CREDS={} wegweiser streams plan", creds.display());
    [
        ("a torn creds file", with(&torn)),
        ("a creds file whose signature is wrong", with(&changed)),
        (
            "a creds file that others may read",
            format!("chmod 644 {0}; NATS_CREDS={0} wegweiser streams plan", torn.display()),
        ),
        (
            "a database that does not know the user",
            r#"DATABASE_URL=$(echo "$DATABASE_URL" | sed 's#://[^:]*:#://nobody:#') wegweiser devices"#
                .to_owned(),
        ),
    ]
    .map(|(what, shell)| (what, with_environment(stack, &shell)))
    .into()
}

#[test]
fn an_outage_of_the_demo_is_weathered_and_its_books_balance() {
    let _one_at_a_time = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let stack = Stack::new();
    let outage = stack.command(&["outage", "--scene", "2s"]).current_dir(REPOSITORY).output();
    let outage = outage.unwrap();
    let printed = said(&outage);
    assert!(outage.status.success(), "{}\n{printed}", outage.status);
    for seen in ["postgres is unavailable", "behind by", "balanced: nothing is missing"] {
        assert!(printed.contains(seen), "{seen:?} is not in it:\n{printed}");
    }
}
