//! The browser's side of a story, and what it asks to be done where a browser cannot reach.
//!
//! The script prints `ASK` and the errand, and goes on when it reads a line. It says `THE END` when
//! everything held.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Where pictures go that are to be looked at; absent: none are taken.
const PICTURES: &str = "WEGWEISER_PICTURES_DIR";

/// A script of `crates/web/page/test/browser` while it runs.
pub(super) struct Script {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    answers: ChildStdin,
    said: String,
}

impl Script {
    /// Starts it, with the page and what it is tested with installed and built.
    pub(super) fn start(name: &str, environment: &[(&str, &str)]) -> Result<Self> {
        devstack::page::build()?;
        let page = devstack::page::page_dir()?;
        let chromium = devstack::tools::chromium()?;
        let script = page.join("test/browser").join(name);
        let mut command = Command::from(devstack::page::install()?.script(&script));
        command
            .current_dir(&page)
            .envs(environment.iter().copied())
            .envs(chromium.environment)
            .env("CHROMIUM", chromium.program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if let Some(pictures) = std::env::var_os(PICTURES) {
            command.env("PICTURES", pictures);
        }
        let mut child = command.spawn()?;
        let output = child.stdout.take().context("its output")?;
        let answers = child.stdin.take().context("its input")?;
        Ok(Self { child, lines: BufReader::new(output).lines(), answers, said: String::new() })
    }

    /// What it asks for next; `None` once everything held.
    pub(super) async fn errand(&mut self) -> Result<Option<String>> {
        while let Some(line) = self.lines.next_line().await? {
            if let Some(errand) = line.strip_prefix("ASK ") {
                return Ok(Some(errand.to_owned()));
            }
            self.said.push_str(&line);
            self.said.push('\n');
        }
        let status = self.child.wait().await?;
        ensure!(status.success(), "the browser's story ended early:\n{}", self.said);
        ensure!(self.said.lines().any(|line| line == "THE END"), "{}", self.said);
        Ok(None)
    }

    /// Lets it go on.
    pub(super) async fn done(&mut self) -> Result<()> {
        Ok(self.answers.write_all(b"done\n").await?)
    }
}
