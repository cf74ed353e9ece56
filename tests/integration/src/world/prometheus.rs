//! Debian's Prometheus with our rules, looking at real programs.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::repository;

/// Killed when dropped.
pub(crate) struct Prometheus {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Our configuration with another receiver, and asked so often, such as `1s`; the rules as they
    /// are.
    pub(crate) fn start(receiver: &str, every: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let folder = repository().join("deploy/observability");
        let config = std::fs::read_to_string(folder.join("prometheus.yml"))?;
        assert!(config.contains("[127.0.0.1:9464]"), "the receiver's default address");
        let config = config
            .replace("127.0.0.1:9464", receiver)
            .replace("_interval: 15s", &format!("_interval: {every}"))
            .replace("- alerts.yml", &format!("- {}", folder.join("alerts.yml").display()));
        std::fs::write(dir.path().join("prometheus.yml"), config)?;
        let port = free_port()?;
        let log = File::create(dir.path().join("prometheus.log"))?;
        let program: PathBuf = devstack::tools::prometheus()?.join("prometheus");
        let child = Command::new(program)
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start prometheus")?;
        Ok(Self { child, port, _dir: dir })
    }

    /// What its API answers, once it does.
    pub(crate) async fn ask(&self, path: &str) -> Result<Option<Value>> {
        let Ok(mut connection) = TcpStream::connect(("127.0.0.1", self.port)).await else {
            return Ok(None);
        };
        let request = format!("GET /api/v1/{path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
        Ok(body.and_then(|body| serde_json::from_str(body).ok()))
    }
}

/// A port that nobody listens on, for a program that has to be told one.
pub(crate) fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
