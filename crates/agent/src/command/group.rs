//! A program's process group: all that it starts, ended together.
//!
//! Promises: when this is dropped, nobody in the group is left. What leaves the group by a session
//! of its own is not found; where the agent is a systemd service, it ends with that.

use tokio::process::{Child, Command};

/// The group of a child that [`of_its_own`] prepared.
#[derive(Debug)]
pub(super) struct Group {
    #[cfg(unix)]
    id: Option<rustix::process::Pid>,
}

/// The command's child gets a group of its own.
pub(super) fn of_its_own(command: &mut Command) {
    #[cfg(unix)]
    command.process_group(0);
    // Elsewhere the child alone is ended.
    command.kill_on_drop(true);
}

impl Group {
    /// The group of this child.
    pub(super) fn of(child: &Child) -> Self {
        #[cfg(not(unix))]
        let _ = child;
        Self {
            #[cfg(unix)]
            id: child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .and_then(rustix::process::Pid::from_raw),
        }
    }

    /// Asks all in it to end.
    pub(super) fn terminate(&self) {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::TERM);
    }

    /// Ends all in it.
    pub(super) fn kill(&self) {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::KILL);
    }

    #[cfg(unix)]
    fn signal(&self, signal: rustix::process::Signal) {
        if let Some(group) = self.id {
            // Nobody may be left in it.
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
