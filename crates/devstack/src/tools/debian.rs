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
    let archive = file_ending_with(into, ".deb")?;
    let output = Command::new("dpkg")
        .arg("--extract")
        .args([&archive, into])
        .output()
        .context("running dpkg")?;
    succeeded(&format!("dpkg --extract {package}"), &output)?;
    // The next package's is then the only one.
    fs::remove_file(&archive).with_context(|| format!("removing {}", archive.display()))
}

/// The directory of `program` out of the first of `packages`, all unpacked below `stack` once.
pub(super) fn programs(stack: &Path, packages: &[&str], program: &str) -> Result<PathBuf> {
    let first = packages.first().copied().unwrap_or_default();
    let directory = stack.join("debian").join(first);
    let programs = directory.join("usr/bin");
    let done = directory.join("unpacked");
    if done.is_file() {
        return Ok(programs);
    }
    let lock_path = stack.join("debian.lock");
    let lock =
        File::create(&lock_path).with_context(|| format!("creating {}", lock_path.display()))?;
    lock.lock().with_context(|| format!("waiting for {}", lock_path.display()))?;
    if !done.is_file() {
        for package in packages {
            crate::output::note(&format!("unpacking {package} into {}", directory.display()));
            unpack(package, &directory)?;
        }
        anyhow::ensure!(programs.join(program).is_file(), "{first} has no usr/bin/{program}");
        File::create(&done).with_context(|| format!("creating {}", done.display()))?;
    }
    Ok(programs)
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
