//! Commands over the API: sent and taken back by operators, read by viewers, each tenant its own.

use anyhow::{Context as _, Result};
use identity::DeviceRole;
use protocol::{TenantId, UnixMillis};
use serde_json::{Value, json};
use storage::{ApiRole, ApiToken, NewApiToken, Scope};

use super::desk::{device, finished, output, started, take, tell};
use super::outbox::web_database;
use crate::world::{Process, World, ask, eventually, send_json};

/// A token of the HTTP API for one tenant.
pub(crate) async fn token(world: &World, tenant: TenantId, role: ApiRole) -> Result<ApiToken> {
    let token = ApiToken::generate();
    let expires_at = UnixMillis::new(UnixMillis::now().get() + 3_600_000);
    let scope = Scope::Tenant(tenant);
    let wanted = NewApiToken { name: "noc", scope, role, expires_at, who: "story" };
    world.records()?.create_api_token(&token, wanted).await?;
    Ok(token)
}

async fn post(web: &Process, path: &str, token: &ApiToken, body: &Value) -> Result<(u16, Value)> {
    let (status, body) = send_json(web, path, token.expose(), &body.to_string()).await?;
    Ok((status, serde_json::from_str(&body).context(body)?))
}

async fn get(web: &Process, path: &str, token: &ApiToken) -> Result<(u16, Value)> {
    let (status, body) = ask(web, "GET", path, token.expose()).await?;
    Ok((status, serde_json::from_str(&body).context(body)?))
}

/// `good` with one thing changed is refused, with the field and the remedy.
async fn mistakes_are_named(web: &Process, token: &ApiToken, good: &Value) -> Result<()> {
    for (field, change) in [
        ("arguments", json!({ "kind": "process.list", "arguments": { "limit": 0 } })),
        ("expires_seconds", json!({ "expires_seconds": 0 })),
        ("expires_seconds", json!({ "expires_seconds": 604_801 })),
        ("timeout_seconds", json!({ "timeout_seconds": 3_601 })),
        ("devices", json!({ "devices": [] })),
    ] {
        let mut wrong = good.clone();
        for (name, value) in change.as_object().into_iter().flatten() {
            wrong[name] = value.clone();
        }
        let (status, said) = post(web, "/v1/commands", token, &wrong).await?;
        assert_eq!((status, &said["field"]), (400, &field.into()), "{said}");
        assert!(said["remedy"].is_string(), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn commands_are_sent_read_and_taken_back_over_http_within_tenant_and_role() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let own = device(&world, 0, DeviceRole::Current).await?;
    let other = device(&world, 1, DeviceRole::Current).await?;
    let database = web_database(&world).await?;
    let keys = world.path("keys/commands").display().to_string();
    let settings = [("WEGWEISER_ISSUING_KEYS", ""), ("WEGWEISER_COMMAND_KEYS", keys.as_str())];
    let web = world.web_with(database.clone(), &settings)?;
    let operator = token(&world, own.tenant, ApiRole::Operator).await?;
    let viewer = token(&world, own.tenant, ApiRole::Viewer).await?;
    let stranger = token(&world, other.tenant, ApiRole::Operator).await?;
    let ping = json!({ "devices": [own.id], "kind": "ping", "expires_seconds": 600 });

    assert_eq!(post(&web, "/v1/commands", &viewer, &ping).await?.0, 403);
    assert_eq!(post(&web, "/v1/commands", &stranger, &ping).await?.0, 404);
    let (status, said) =
        post(&web, "/v1/commands", &operator, &json!({ "devices": [own.id], "kind": "x" })).await?;
    assert_eq!((status, &said["field"]), (400, &"kind".into()), "{said}");
    mistakes_are_named(&web, &operator, &ping).await?;
    let keyless = world.web(database)?;
    let (status, said) = post(&keyless, "/v1/commands", &operator, &ping).await?;
    assert_eq!((status, &said["title"]), (503, &"no commands here".into()), "{said}");
    assert_eq!(world.count("select count(*) from commands").await?, 0, "nothing was sent yet");

    let (status, sent) = post(&web, "/v1/commands", &operator, &ping).await?;
    assert_eq!(status, 202, "{sent}");
    let id = sent["commands"][0]["command"].as_str().context("an id")?.to_owned();
    let path = format!("/v1/commands/{id}");
    let given = take(&world, &own).await?;
    assert_eq!(given.id().to_string(), id);
    assert!(given.command.requester.starts_with("noc by API token"), "{:?}", given.command);
    for (number, event) in
        [(0, started()), (2, output("b")), (1, output("a")), (3, finished("succeeded"))]
    {
        tell(&own, given.id(), number, event).await?;
    }
    let shown = eventually("it has succeeded", async || {
        let (_, shown) = get(&web, &path, &viewer).await?;
        Ok((shown["state"] == "succeeded").then_some(shown))
    })
    .await?;
    assert_eq!(shown["result"]["answer"], 42);
    assert_eq!(shown["transitions"].as_array().map(Vec::len), Some(4));
    let (_, said) = get(&web, &format!("{path}/output?limit=1"), &viewer).await?;
    assert_eq!((&said["output"][0]["chunk"], &said["next"]), (&"a".into(), &1.into()));
    let (_, said) = get(&web, &format!("{path}/output?after=1"), &viewer).await?;
    assert_eq!((&said["output"][0]["chunk"], &said["next"]), (&"b".into(), &2.into()));

    for path in [path.clone(), format!("{path}/output")] {
        assert_eq!(get(&web, &path, &stranger).await?.0, 404, "{path}");
    }
    assert_eq!(get(&web, "/v1/commands", &stranger).await?.1["commands"], json!([]));
    let cancel = format!("{path}/cancel");
    assert_eq!(post(&web, &cancel, &stranger, &Value::Null).await?.0, 404);
    assert_eq!(post(&web, &cancel, &viewer, &Value::Null).await?.0, 403);
    let (_, said) = post(&web, &cancel, &operator, &Value::Null).await?;
    assert_eq!(said["outcome"], "ended_before");

    let (_, sent) = post(&web, "/v1/commands", &operator, &ping).await?;
    let id = sent["commands"][0]["command"].as_str().context("an id")?;
    let (status, said) =
        post(&web, &format!("/v1/commands/{id}/cancel"), &operator, &Value::Null).await?;
    assert_eq!((status, &said["outcome"]), (200, &"cancelled".into()), "{said}");
    let (_, listed) = get(&web, "/v1/commands?state=cancelled&limit=1", &viewer).await?;
    assert_eq!((&listed["commands"][0]["command"], &listed["next"]), (&id.into(), &Value::Null));
    Ok(())
}
