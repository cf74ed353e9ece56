//! A device is admitted by a token, once, and keeps its credentials fresh by itself.

mod agents;
mod renewal;
mod tokens;

use anyhow::{Context as _, Result, ensure};
use identity::{Credentials, KeyKind, SecretKey};
use protocol::{EnrollAnswer, TenantId};
use reqwest::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::walls::sign_in;
use crate::world::{Process, World};

/// A web service that enrols.
struct Desk {
    web: Process,
    url: String,
}

impl Desk {
    /// Opened over the broker's tenants as `wegweiser accounts apply` leaves them.
    async fn open(world: &World, settings: &[(&str, &str)]) -> Result<Self> {
        let (code, said) = world.wegweiser(&["accounts", "apply"]).await?;
        ensure!(code == 0, "{said}");
        // As little of the database as the web service is given in earnest.
        let web = world.web_with(sign_in(&world.database, "wegweiser_web").await?, settings)?;
        web.logs("answering devices that renew").await?;
        web.logs("listening").await?;
        let log = web.log();
        let line = log.lines().find(|line| line.contains("listening")).context("just there")?;
        let address = line.split("address=").nth(1).and_then(|rest| rest.split(' ').next());
        let scheme = if line.contains("tls=true") { "https" } else { "http" };
        let url = format!("{scheme}://{}", address.context("a line with its address")?);
        Ok(Self { web, url })
    }

    async fn enroll(&self, token: &str, key: &SecretKey) -> Result<(StatusCode, Value)> {
        let body = json!({ "token": token, "public_key": key.public(), "name": "till 4" });
        self.post(&body).await
    }

    async fn post(&self, body: &Value) -> Result<(StatusCode, Value)> {
        let url = format!("{}/v1/enroll", self.url);
        let answer = reqwest::Client::new().post(url).json(body).send().await?;
        Ok((answer.status(), answer.json().await?))
    }
}

fn new_key() -> Result<SecretKey> {
    Ok(SecretKey::generate(KeyKind::User)?)
}

/// A new token of a tenant: its id and itself.
async fn token(world: &World, tenant: TenantId, rest: &[&str]) -> Result<(String, String)> {
    let tenant = tenant.to_string();
    let mut arguments = vec!["enroll-token", "create", "--tenant", &tenant, "--output", "json"];
    arguments.extend(rest);
    let (code, said) = world.wegweiser(&arguments).await?;
    ensure!(code == 0, "{said}");
    let said: Value = serde_json::from_str(&said)?;
    let text =
        |name: &str| Ok::<_, anyhow::Error>(said[name].as_str().context("a text")?.to_owned());
    Ok((text("id")?, text("token")?))
}

/// What an admitted device connects with.
fn credentials(answer: &Value, key: &SecretKey) -> Result<Credentials> {
    let answer: EnrollAnswer = serde_json::from_value(answer.clone())?;
    Ok(Credentials::new(SecretString::from(answer.jwt), key.clone())?)
}
