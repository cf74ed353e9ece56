//! What a process answers over HTTP, and one scrape of its figures.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Process;

/// One scrape.
pub(crate) struct Page {
    pub(crate) text: String,
    /// Values by name with labels.
    pub(crate) values: BTreeMap<String, f64>,
}

impl Page {
    /// `name` with labels, or the reason why it is not there.
    pub(crate) fn value(&self, name: &str) -> Result<f64> {
        self.values.get(name).copied().with_context(|| format!("{name} is not in\n{}", self.text))
    }

    pub(crate) fn is(&self, name: &str, value: f64) -> bool {
        self.values.get(name) == Some(&value)
    }

    pub(crate) fn names(&self) -> BTreeSet<String> {
        let types = self.text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    }
}

/// The body of an answer. `listening`: words of the log line that gives the address.
pub(crate) async fn get(process: &Process, listening: &str, path: &str) -> Result<String> {
    let head = format!("GET {path} HTTP/1.1");
    Ok(answer(process, listening, &head).await?.1)
}

/// Status and body of an answer to who shows no token.
pub(crate) async fn look(process: &Process, listening: &str, path: &str) -> Result<(u16, String)> {
    let (status, body) = answer(process, listening, &format!("GET {path} HTTP/1.1")).await?;
    Ok((status.parse()?, body))
}

/// Status and body of the web service's answer to who has this token.
pub(crate) async fn ask(
    web: &Process,
    method: &str,
    path: &str,
    token: &str,
) -> Result<(u16, String)> {
    let head = format!("{method} {path} HTTP/1.1\r\nAuthorization: Bearer {token}");
    let (status, body) = answer(web, ": listening", &head).await?;
    Ok((status.parse()?, body))
}

/// Status and body of its answer to who sends this JSON.
pub(crate) async fn send_json(
    web: &Process,
    path: &str,
    token: &str,
    body: &str,
) -> Result<(u16, String)> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\
         \r\nContent-Length: {length}"
    );
    let (status, body) = answer_to(web, ": listening", &head, body).await?;
    Ok((status.parse()?, body))
}

/// Where a process listens. `listening`: words of the log line that says so.
pub(crate) async fn address(process: &Process, listening: &str) -> Result<String> {
    process.logs(listening).await?;
    let log = process.log();
    let line = log.lines().find(|line| line.contains(listening)).context("it was just there")?;
    let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
    Ok(address.context("a line with its address")?.to_owned())
}

async fn answer(process: &Process, listening: &str, head: &str) -> Result<(String, String)> {
    answer_to(process, listening, head, "").await
}

async fn answer_to(
    process: &Process,
    listening: &str,
    head: &str,
    body: &str,
) -> Result<(String, String)> {
    let address = address(process, listening).await?;
    let mut connection = TcpStream::connect(address).await?;
    let request = format!("{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n{body}");
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("a head and a body")?;
    let status = head.split(' ').nth(1).context("a status")?;
    Ok((status.to_owned(), body.to_owned()))
}

pub(crate) async fn scrape(process: &Process, listening: &str) -> Result<Page> {
    let text = get(process, listening, "/metrics").await?;
    let mut values = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').context("a name and a value")?;
        values.insert(name.to_owned(), value.parse()?);
    }
    Ok(Page { text, values })
}
