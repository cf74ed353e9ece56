//! `wegweiser-agent launch`: what stands between the agent and a program that a command runs.
//!
//! Promises: the program begins within its limits, for this very process becomes it. The agent
//! calls this; nobody else needs to.

use std::path::PathBuf;

use clap::Args;

/// How much behind others a program of a command is.
#[cfg(unix)]
const NICER_BY: i32 = 10;
/// Most files that it may have open at one time.
#[cfg(unix)]
const FILES_MAX: u64 = 1_024;

/// Becomes a program, within limits.
#[derive(Debug, Args)]
pub(super) struct LaunchCommand {
    /// Most processes of this user while it starts more.
    #[arg(long)]
    processes: u64,
    /// The program, and what it is given.
    #[arg(last = true, required = true, num_args = 1..)]
    program: Vec<PathBuf>,
}

/// Returns only if it cannot become it.
///
/// # Errors
/// Why not.
#[cfg(unix)]
pub(super) fn run(command: &LaunchCommand) -> anyhow::Result<()> {
    use std::os::unix::process::CommandExt as _;

    use anyhow::Context as _;
    use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};

    for (resource, most) in [
        (Resource::Nproc, command.processes),
        (Resource::Nofile, FILES_MAX),
        // A dump would hold what the program was told.
        (Resource::Core, 0),
    ] {
        let hardest = getrlimit(resource).maximum.map_or(most, |hard| hard.min(most));
        let limit = Rlimit { current: Some(hardest), maximum: Some(hardest) };
        setrlimit(resource, limit).with_context(|| format!("limiting {resource:?}"))?;
    }
    nice(NICER_BY).context("taking a lower priority")?;
    let (program, arguments) = command.program.split_first().context("no program")?;
    let error = std::process::Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("starting {}", program.display()))
}

/// # Errors
/// Always: there is no becoming another program here.
#[cfg(not(unix))]
pub(super) fn run(command: &LaunchCommand) -> anyhow::Result<()> {
    anyhow::bail!("{:?} is started directly on this system", command.program)
}
