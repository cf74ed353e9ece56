//! A token of one tenant against every path with an id of another's: it is told the same as of an
//! id that nobody ever had. The paths are those of the OpenAPI document, so that a new one is asked
//! without a word here; a new kind of id asks for its example.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use protocol::{DeviceId, TenantId, UnixMillis};
use secrecy::SecretString;
use serde_json::Value;
use storage::{
    ApiRole, ApiToken, EnrollToken, NewApiToken, NewEnrollToken, ProgramRole, Registration, Scope,
};
use uuid::Uuid;

use crate::world::{Process, World, ask, eventually, get, now_ms};

/// An id of the other tenant, and one that nobody has.
pub(crate) type Ids = BTreeMap<&'static str, (String, String)>;

/// Ids of paths that say nothing of whose they are.
const WITHOUT_OWNER: [(&str, &str); 1] = [("metric", "cpu_percent")];

/// Everything that has an id, of the tenant `theirs`.
pub(crate) async fn belongings(world: &World, theirs: TenantId) -> Result<Ids> {
    let records = world.records()?;
    records.ensure_tenant(theirs, "the other").await?;
    let device = world.device(1).await?;
    let wanted = Registration { tenant: theirs, device: device.id, name: "", role: "device" };
    records.register_device(wanted).await?;
    let heartbeat = format!(
        r#"{{"device_uuid":"{}","tenant_uuid":"{theirs}","timestamp_ms":{}}}"#,
        device.id,
        now_ms()
    );
    device.publish(&device.subject("status.heartbeat"), heartbeat).await?;
    device.point("cpu_percent", now_ms(), 1.0).await?;
    device.publish(&device.subject("monitoring"), "no JSON").await?;
    eventually("stored", async || {
        let known = records.devices(Some(theirs), Some(device.id), 1).await?;
        let there = !known.is_empty() && !world.ring(device.id, "cpu_percent").await?.is_empty();
        Ok((there && world.messages_in("DEAD_LETTERS").await? > 0).then_some(()))
    })
    .await?;
    let expires_at = UnixMillis::new(now_ms() + 3_600_000);
    let token = NewEnrollToken { tenant: theirs, uses: 1, expires_at, who: "story" };
    let token = records.create_enroll_token(&EnrollToken::generate(), token).await?;
    let id = device.id.to_string();
    let (code, said) = world.wegweiser(&["command", "send", "ping", "--device", &id]).await?;
    anyhow::ensure!(code == 0, "{said}");
    let command = said.trim().to_owned();
    let nobodys = || Uuid::now_v7().to_string();
    Ok(BTreeMap::from([
        ("device", (device.id.to_string(), DeviceId::new(Uuid::now_v7()).to_string())),
        ("tenant", (theirs.to_string(), nobodys())),
        ("token", (token.to_string(), nobodys())),
        ("command", (command, nobodys())),
        ("sequence", ("1".to_owned(), "999".to_owned())),
    ]))
}

pub(crate) async fn web(world: &World) -> Result<Process> {
    let name = format!("web_{}", Uuid::now_v7().simple());
    let password = SecretString::from("story");
    world.records()?.set_sign_in(&name, ProgramRole::Web, &password).await?;
    let database = devstack::DatabaseAddress { user: name, password, ..world.database.clone() };
    let keys = world.path("keys/commands").display().to_string();
    world.web_with(database, &[("WEGWEISER_ISSUING_KEYS", ""), ("WEGWEISER_COMMAND_KEYS", &keys)])
}

async fn token(world: &World, tenant: TenantId) -> Result<ApiToken> {
    let token = ApiToken::generate();
    let wanted = NewApiToken {
        name: "an admin",
        scope: Scope::Tenant(tenant),
        role: ApiRole::Admin,
        expires_at: UnixMillis::new(now_ms() + 3_600_000),
        who: "story",
    };
    world.records()?.create_api_token(&token, wanted).await?;
    Ok(token)
}

/// Every operation of the document with an id of somebody's in its path, and what each id is.
fn operations(document: &Value) -> Result<Vec<(String, String, Vec<String>)>> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().context("paths")? {
        let names: Vec<String> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .filter(|name| WITHOUT_OWNER.iter().all(|(other, _)| other != name))
            .map(str::to_owned)
            .collect();
        for method in item.as_object().context("operations")?.keys() {
            if !names.is_empty() {
                found.push((method.to_uppercase(), path.clone(), names.clone()));
            }
        }
    }
    Ok(found)
}

/// The path with these ids, and what it needs beside them.
fn path(template: &str, names: &[String], ids: &Ids, theirs: bool) -> Result<String> {
    let mut path = template.to_owned();
    for (name, example) in WITHOUT_OWNER {
        path = path.replace(&format!("{{{name}}}"), example);
    }
    for name in names {
        let Some((own, nobodys)) = ids.get(name.as_str()) else {
            bail!("{template}: say in belongings() what a {name} of the other tenant is");
        };
        path = path.replace(&format!("{{{name}}}"), if theirs { own } else { nobodys });
    }
    Ok(if path.ends_with("/discard") { format!("{path}?because=x") } else { path })
}

/// What the answer says, whichever id was asked for.
fn without_ids(text: &str, names: &[String], ids: &Ids) -> String {
    let mut text = text.to_owned();
    for name in names {
        if let Some((own, nobodys)) = ids.get(name.as_str()) {
            // A sequence is a short number; only as a word of its own is it one.
            text = text.replace(&format!(" {own}"), " ID").replace(&format!(" {nobodys}"), " ID");
            text =
                text.replace(&format!("\"{own}\""), "ID").replace(&format!("\"{nobodys}\""), "ID");
        }
    }
    text
}

#[tokio::test]
async fn no_path_tells_of_what_is_another_tenants() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let web = web(&world).await?;
    let (own, theirs) = (world.tenants[0], world.tenants[1]);
    world.records()?.ensure_tenant(own, "a customer").await?;
    let ids = belongings(&world, theirs).await?;
    let (stranger, owner) = (token(&world, own).await?, token(&world, theirs).await?);
    let document = get(&web, ": listening", "/v1/openapi.json").await?;
    let operations = operations(&serde_json::from_str(&document).context(document)?)?;
    assert!(operations.len() >= 14, "{} operations", operations.len());
    // The broker is reached in the background.
    eventually("letters", async || {
        let (status, _) = ask(&web, "GET", "/v1/dead-letters/1", owner.expose()).await?;
        Ok((status == 200).then_some(()))
    })
    .await?;
    for (method, template, names) in operations {
        let mut told = Vec::new();
        for is_theirs in [true, false] {
            let path = path(&template, &names, &ids, is_theirs)?;
            let (status, text) = ask(&web, &method, &path, stranger.expose()).await?;
            assert_eq!(status, 404, "{method} {path}: {text}");
            told.push(without_ids(&text, &names, &ids));
        }
        assert_eq!(told[0], told[1], "{method} {template}");
        if method == "GET" {
            // To its owner it is there, or the test would ask for nothing.
            let path = path(&template, &names, &ids, true)?;
            assert_eq!(ask(&web, &method, &path, owner.expose()).await?.0, 200, "{path}");
        }
    }
    Ok(())
}
