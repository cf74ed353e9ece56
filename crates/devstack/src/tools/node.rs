//! Node.js with its npm: builds the page and drives the browser in tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Kind, NODE_WHEEL, Tool, Version, find};

/// Forces the node executable.
pub const NODE_VARIABLE: &str = "WEGWEISER_STACK_NODE";

/// What Vite 8 asks for.
const NODE_AT_LEAST: Version = Version(20, 19);

const NODE: Kind = Kind {
    name: "node",
    at_least: NODE_AT_LEAST,
    variable: NODE_VARIABLE,
    programs: &["node", "nodejs"],
    wheel: NODE_WHEEL,
    by_directory: false,
};

/// Node.js, and where its npm is.
#[derive(Debug, Clone)]
pub struct Node {
    tool: Tool,
    npm: PathBuf,
}

impl Node {
    /// The program that was taken, and why.
    #[must_use]
    pub fn tool(&self) -> &Tool {
        &self.tool
    }

    /// A run of a script of JavaScript.
    #[must_use]
    pub fn script(&self, script: &Path) -> Command {
        let mut command = Command::new(self.tool.path());
        command.arg(script);
        command
    }

    /// A run of npm. No package's own scripts are run.
    #[must_use]
    pub fn npm(&self) -> Command {
        let mut command = self.script(&self.npm);
        command.env("npm_config_ignore_scripts", "true");
        command.env("npm_config_update_notifier", "false");
        command
    }
}

/// The Node.js to use; installs the wheel when there is none with an npm.
///
/// # Errors
/// When an override does not work, or the wheel cannot be installed.
pub fn node() -> Result<Node> {
    let tool = find(&NODE)?;
    if let Some(npm) = npm_of(tool.path()) {
        return Ok(Node { tool, npm });
    }
    // Debian's package of Node.js comes without npm.
    let program = NODE_WHEEL.install()?;
    let npm = npm_of(&program).with_context(|| format!("{NODE_WHEEL} has no npm"))?;
    let reason = format!("wheel {NODE_WHEEL}; {} has no npm", tool.path().display());
    let version = super::version_of(&program)?;
    Ok(Node { tool: super::tool(&NODE, &program, version, reason), npm })
}

/// npm's own script beside a node, `…/bin/node`, or where Debian keeps it.
fn npm_of(node: &Path) -> Option<PathBuf> {
    let node = std::fs::canonicalize(node).ok()?;
    let beside = node.parent()?.parent()?.join("lib/node_modules/npm/bin/npm-cli.js");
    let debians = PathBuf::from("/usr/share/nodejs/npm/bin/npm-cli.js");
    [beside, debians].into_iter().find(|script| script.is_file())
}
