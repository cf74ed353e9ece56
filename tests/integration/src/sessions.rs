//! Sessions in the database: over with their time, when nobody used them, and with their tenant.

use anyhow::{Context as _, Result};
use protocol::TenantId;
use storage::{
    ApiRole, ApiTokenRefusal, LinkToken, NewUser, Records, Scope, SessionToken, SignInWith,
    TenantState, WalledRecords,
};
use uuid::Uuid;

use crate::walls::sign_in;
use crate::world::{empty_database, postgres_settings, sql_client};

#[tokio::test]
async fn a_session_is_over_with_its_time_when_unused_and_with_its_tenant() -> Result<()> {
    let database = empty_database().await?;
    let records = Records::open(&postgres_settings(&database))?;
    records.migrate().await?;
    let tenant = TenantId::new(Uuid::now_v7());
    records.ensure_tenant(tenant, "a customer").await?;
    let user = NewUser {
        name: "Anna",
        scope: Scope::Tenant(tenant),
        role: ApiRole::Viewer,
        password_hash: "$argon2id$",
        who: "story",
    };
    let user = records.create_user(user).await?;
    let web = sign_in(&database, "wegweiser_web").await?;
    let web = WalledRecords::open(&postgres_settings(&web))?.within(Scope::Nobody);
    let client = sql_client(&database).await?;
    let open = async || -> Result<SessionToken> {
        let session = SessionToken::generate();
        assert!(web.open_session(&session, SignInWith::User(user)).await?);
        Ok(session)
    };
    let refusal = async |session: &SessionToken| -> Result<Option<ApiTokenRefusal>> {
        Ok(web.known_session(session).await?.context("a session")?.refusal)
    };
    for change in [
        "update sessions set expires_at = clock_timestamp()",
        "update sessions set seen_at = clock_timestamp() - interval '2 hours'",
    ] {
        let session = open().await?;
        assert_eq!(refusal(&session).await?, None);
        client.batch_execute(change).await?;
        assert_eq!(refusal(&session).await?, Some(ApiTokenRefusal::Expired), "{change}");
        // Asking does not bring it back.
        assert_eq!(refusal(&session).await?, Some(ApiTokenRefusal::Expired), "{change}");
    }
    let session = open().await?;
    client.batch_execute("update sessions set seen_at = seen_at - interval '1 hour'").await?;
    assert_eq!(refusal(&session).await?, None);
    let sql = "select seen_at > clock_timestamp() - interval '1 minute' from sessions
               where expires_at > clock_timestamp() order by opened_at desc limit 1";
    assert!(client.query_one(sql, &[]).await?.get::<_, bool>(0), "a request counts as use");
    records.set_tenant_state(tenant, TenantState::Suspended).await?;
    assert_eq!(refusal(&session).await?, Some(ApiTokenRefusal::Suspended));
    assert!(records.remove_user("anna", "story").await?);
    assert!(web.known_session(&session).await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_first_link_is_made_while_there_is_nobody_and_is_over_after_a_while() -> Result<()> {
    let database = empty_database().await?;
    let records = Records::open(&postgres_settings(&database))?;
    records.migrate().await?;
    let client = sql_client(&database).await?;
    let (first, second) = (LinkToken::generate(), LinkToken::generate());
    assert!(records.make_first_link(&first).await?);
    client.batch_execute("update sign_in_links set expires_at = clock_timestamp()").await?;
    let session = SessionToken::generate();
    assert!(!records.open_session(&session, SignInWith::Link(&first)).await?);
    assert!(records.make_first_link(&second).await?);
    assert!(records.open_session(&session, SignInWith::Link(&second)).await?);
    assert!(!records.make_first_link(&LinkToken::generate()).await?, "there is somebody");
    assert!(records.known_session(&session).await?.context("a session")?.needs_password);
    Ok(())
}
