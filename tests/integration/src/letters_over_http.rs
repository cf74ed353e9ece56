//! Dead letters over the API: each tenant its own, changed by operators alone, with a trail.

use anyhow::{Context as _, Result};
use protocol::{TenantId, UnixMillis};
use secrecy::SecretString;
use serde_json::Value;
use storage::{ApiRole, ApiToken, NewApiToken, ProgramRole, Records, Scope};
use uuid::Uuid;

use crate::world::{Process, World, ask, eventually};

async fn token(records: &Records, tenant: TenantId, role: ApiRole) -> Result<ApiToken> {
    let token = ApiToken::generate();
    let expires_at = UnixMillis::new(UnixMillis::now().get() + 3_600_000);
    let scope = Scope::Tenant(tenant);
    let wanted = NewApiToken { name: "noc", scope, role, expires_at, who: "story" };
    records.create_api_token(&token, wanted).await?;
    Ok(token)
}

/// The web service, signed in as itself at the broker and at Postgres.
async fn web(world: &World) -> Result<Process> {
    let name = format!("web_{}", Uuid::now_v7().simple());
    let password = SecretString::from("story");
    world.records()?.set_sign_in(&name, ProgramRole::Web, &password).await?;
    let database = world.database.clone();
    world.web(devstack::DatabaseAddress { user: name, password, ..database })
}

#[tokio::test]
async fn letters_are_shown_sent_again_and_discarded_within_tenant_and_role() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let web = web(&world).await?;
    let records = world.records()?;
    for tenant in &world.tenants {
        records.ensure_tenant(*tenant, "a customer").await?;
    }
    let (own, other) = (world.tenants[0], world.tenants[1]);
    let operator = token(&records, own, ApiRole::Operator).await?;
    let viewer = token(&records, own, ApiRole::Viewer).await?;
    let stranger = token(&records, other, ApiRole::Operator).await?;
    let get = async |path: &str, token: &ApiToken| -> Result<(u16, Value)> {
        let (status, body) = ask(&web, "GET", path, token.expose()).await?;
        Ok((status, serde_json::from_str(&body).context(body)?))
    };
    let post = async |path: &str, token: &ApiToken| -> Result<(u16, Value)> {
        let (status, body) = ask(&web, "POST", path, token.expose()).await?;
        Ok((status, serde_json::from_str(&body).context(body)?))
    };
    let device = world.device(0).await?;
    device.publish(&device.subject("monitoring"), "no JSON").await?;
    let list = eventually("a letter", async || {
        let (_, list) = get("/v1/dead-letters?reason=malformed_json", &viewer).await?;
        let letters = list["letters"].as_array().cloned().unwrap_or_default();
        Ok((!letters.is_empty()).then_some(letters))
    })
    .await?;
    assert_eq!(list[0]["device"], device.id.to_string());
    let sequence = list[0]["sequence"].as_u64().context("a sequence")?;
    let path = format!("/v1/dead-letters/{sequence}");
    assert_eq!(get(&path, &viewer).await?.1["payload"], "no JSON");

    assert_eq!(get("/v1/dead-letters", &stranger).await?.1["letters"], Value::Array(Vec::new()));
    let asked_for = format!("/v1/dead-letters?tenant={own}");
    assert_eq!(get(&asked_for, &stranger).await?.1["letters"], Value::Array(Vec::new()));
    assert_eq!(get(&path, &stranger).await?.0, 404);
    for deed in ["replay", "discard?because=x"] {
        assert_eq!(post(&format!("{path}/{deed}"), &stranger).await?.0, 404, "{deed}");
        assert_eq!(post(&format!("{path}/{deed}"), &viewer).await?.0, 403, "{deed}");
    }
    assert_eq!(post(&format!("{path}/discard"), &operator).await?.0, 400, "without a reason");
    let (status, said) = post(&format!("{path}/replay?dry_run=true"), &operator).await?;
    assert_eq!((status, &said["outcome"]), (200, &"would be sent again and removed".into()));
    assert!(
        records
            .audit_rows(storage::AuditFilter { action: "dlq", limit: 10, ..Default::default() })
            .await?
            .is_empty(),
        "nothing was changed yet"
    );

    let (status, said) = post(&format!("{path}/replay"), &operator).await?;
    assert_eq!((status, &said["outcome"]), (200, &"sent again, removed".into()), "{said}");
    assert_eq!(get(&path, &operator).await?.0, 404);
    // It is as ill as before.
    let again = eventually("parked again", async || {
        let (_, list) = get("/v1/dead-letters", &operator).await?;
        Ok(list["letters"][0]["sequence"].as_u64())
    })
    .await?;
    let path = format!("/v1/dead-letters/{again}");
    let (status, _) = post(&format!("{path}/discard?because=a+test+agent"), &operator).await?;
    assert_eq!(status, 200);
    assert_eq!(get("/v1/dead-letters", &operator).await?.1["letters"], Value::Array(Vec::new()));

    let trail = records
        .audit_rows(storage::AuditFilter { action: "dlq", limit: 10, ..Default::default() })
        .await?;
    let outcomes: Vec<&str> =
        trail.iter().rev().filter_map(|row| row.detail["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["sending", "sent again, removed", "discarding", "discarded"]);
    assert!(trail.iter().all(|row| row.who.starts_with("noc by API token ")), "{trail:?}");
    assert_eq!(trail[0].detail["because"], "a test agent");
    Ok(())
}
