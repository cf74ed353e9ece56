//! Programs out of Debian's packages, unpacked where we may write: nothing is installed, so root is
//! not needed, and `apt-get download` checks signatures as always.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::ready::succeeded;

/// Downloads `package` and unpacks it into `into`.
pub(super) fn unpack(package: &str, into: &Path) -> Result<()> {
    fs::create_dir_all(into).with_context(|| format!("creating {}", into.display()))?;
    if let Err(stale) = download(package, into, &[]) {
        // A new machine has no lists of packages, or ones that name what is gone by now.
        let own_lists = own_lists(into).with_context(|| format!("{stale:#}"))?;
        download(package, into, &own_lists)?;
    }
    extract(&file_ending_with(into, ".deb")?, into)
}

/// The directory of `program` out of the first of `packages`, all unpacked below `stack` once.
pub(super) fn programs(stack: &Path, packages: &[&str], program: &str) -> Result<PathBuf> {
    let first = packages.first().copied().unwrap_or_default();
    let inside = format!("usr/bin/{program}");
    let unpack_all =
        |directory: &Path| packages.iter().try_for_each(|name| unpack(name, directory));
    Ok(once(stack, first, &inside, unpack_all)?.join("usr/bin"))
}

/// `package` with everything that it depends on and the machine lacks, unpacked below `stack` once;
/// returns the directory that stands for `/`. `program` is what it must hold.
pub(super) fn with_dependencies(stack: &Path, package: &str, program: &str) -> Result<PathBuf> {
    once(stack, package, program, |directory| {
        fs::create_dir_all(directory)
            .with_context(|| format!("creating {}", directory.display()))?;
        let lists = own_lists(directory)?;
        for name in missing(package, &lists)? {
            download(&name, directory, &lists)?;
        }
        for entry in fs::read_dir(directory)?.flatten() {
            if entry.file_name().to_string_lossy().ends_with(".deb") {
                extract(&entry.path(), directory)?;
            }
        }
        Ok(())
    })
}

/// Names of what an installation of `package` would bring, as apt works it out.
fn missing(package: &str, options: &[String]) -> Result<Vec<String>> {
    let output = Command::new("apt-get")
        .args(["install", "--simulate", "--no-install-recommends", "--quiet"])
        .args(options)
        .arg(package)
        .output()
        .context("running apt-get")?;
    succeeded(&format!("apt-get install --simulate {package}"), &output)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let named = |line: &str| line.strip_prefix("Inst ")?.split(' ').next().map(str::to_owned);
    Ok(said.lines().filter_map(named).collect())
}

/// Has `make` fill a directory for `package` below `stack`, unless it was filled before.
fn once(
    stack: &Path,
    package: &str,
    program: &str,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let directory = stack.join("debian").join(package);
    let done = directory.join("unpacked");
    if done.is_file() {
        return Ok(directory);
    }
    let lock_path = stack.join("debian.lock");
    let lock =
        File::create(&lock_path).with_context(|| format!("creating {}", lock_path.display()))?;
    lock.lock().with_context(|| format!("waiting for {}", lock_path.display()))?;
    if !done.is_file() {
        crate::output::note(&format!("unpacking {package} into {}", directory.display()));
        make(&directory)?;
        anyhow::ensure!(directory.join(program).is_file(), "{package} has no {program}");
        File::create(&done).with_context(|| format!("creating {}", done.display()))?;
    }
    Ok(directory)
}

/// Unpacks and removes `archive`.
fn extract(archive: &Path, into: &Path) -> Result<()> {
    let output = Command::new("dpkg")
        .arg("--extract")
        .args([archive, into])
        .output()
        .context("running dpkg")?;
    succeeded(&format!("dpkg --extract {}", archive.display()), &output)?;
    fs::remove_file(archive).with_context(|| format!("removing {}", archive.display()))
}

fn download(package: &str, into: &Path, options: &[String]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(["download", "--quiet"])
        .args(options)
        .arg(package)
        .current_dir(into)
        .output()
        .context("running apt-get")?;
    succeeded(&format!("apt-get download {package}"), &output)
}

/// Fresh lists of our own, since the machine's are root's; and the options that use them.
fn own_lists(into: &Path) -> Result<Vec<String>> {
    let lists = into.join("apt");
    fs::create_dir_all(lists.join("lists/partial"))?;
    let set = |key: &str, below: &str| format!("-o{key}={}", lists.join(below).display());
    let options = vec![set("Dir::State::lists", "lists"), set("Dir::Cache", "cache")];
    let output = Command::new("apt-get")
        .args(["update", "--quiet"])
        .args(&options)
        .output()
        .context("running apt-get")?;
    succeeded("apt-get update", &output)?;
    Ok(options)
}

/// The first file of `directory` whose name ends so.
pub(super) fn file_ending_with(directory: &Path, ending: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(directory)?.flatten() {
        if entry.file_name().to_string_lossy().ends_with(ending) {
            return Ok(entry.path());
        }
    }
    bail!("{} holds no file ending with {ending}", directory.display())
}
