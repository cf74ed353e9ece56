//! What a process has of memory, and may have: proc_pid_status(5), getrlimit(2).

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::world::Process;

/// Bytes of data (heap and private mappings) that it has: what [`limit_data`] limits.
pub(crate) fn data_bytes(process: &Process) -> Result<u64> {
    let status = status(process)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("VmData")?;
    Ok(kib.parse::<u64>()? * 1024)
}

/// From now on it gets no more than so much data.
pub(crate) fn limit_data(process: &Process, bytes: u64) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(process.id())?).context("a process id above 0")?;
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    prlimit(Some(pid), Resource::Data, limit).context("limiting a replica's memory")?;
    Ok(())
}

/// Whether it ended by itself: nobody has waited for it, so the kernel keeps its name.
pub(crate) fn has_ended(process: &Process) -> Result<bool> {
    Ok(status(process)?.lines().any(|line| line.starts_with("State:\tZ")))
}

fn status(process: &Process) -> Result<String> {
    let path = format!("/proc/{}/status", process.id());
    std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))
}
