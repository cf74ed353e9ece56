//! Who gets new credentials over the broker, and who does not.

use anyhow::{Context as _, Result, bail, ensure};
use identity::{Credentials, PublicKey, SecretKey};
use protocol::{DeviceId, RenewAnswer, RenewRequest, TenantId};
use reqwest::StatusCode;
use secrecy::SecretString;
use storage::{DeviceState, TenantState};

use super::{Desk, credentials, new_key, token};
use crate::world::{World, eventually};

/// A device that was enrolled, as it stands at the broker.
struct Enrolled {
    tenant: TenantId,
    id: DeviceId,
    key: SecretKey,
    creds: Credentials,
    nats: async_nats::Client,
}

impl Enrolled {
    async fn new(world: &World, desk: &Desk, tenant: usize) -> Result<Self> {
        let tenant = world.tenants[tenant];
        let (_, token) = token(world, tenant, &[]).await?;
        let key = new_key()?;
        let (status, answer) = desk.enroll(&token, &key).await?;
        ensure!(status == StatusCode::OK, "{answer}");
        let creds = credentials(&answer, &key)?;
        let id = answer["device"].as_str().context("an id")?.parse()?;
        Ok(Self { tenant, id, key, nats: world.connect(&creds).await?, creds })
    }

    async fn renew(&self, key: &PublicKey) -> Result<RenewAnswer> {
        let question = serde_json::to_vec(&RenewRequest { public_key: key.to_string() })?;
        let subject = format!("tenant.{}.device.{}.renew", self.tenant, self.id);
        let answer = self.nats.request(subject, question.into()).await?;
        Ok(serde_json::from_slice(&answer.payload)?)
    }

    async fn refused(&self, key: &PublicKey) -> Result<String> {
        match self.renew(key).await? {
            RenewAnswer::Refused(why) => Ok(why),
            other => bail!("not refused: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_device_renews_for_its_own_key_unless_it_is_revoked_or_suspended() -> Result<()> {
    let world = World::start().await?;
    let desk = Desk::open(&world, &[]).await?;
    let device = Enrolled::new(&world, &desk, 0).await?;
    let neighbour = Enrolled::new(&world, &desk, 0).await?;
    let key = device.key.public();

    let RenewAnswer::Renewed { jwt, expires_at } = device.renew(key).await? else {
        bail!("not renewed");
    };
    let renewed = Credentials::new(SecretString::from(jwt), device.key.clone())?;
    assert_eq!(renewed.user().name, device.id.to_string());
    assert_eq!(renewed.user().expires.map(|end| end.as_i64() * 1_000), Some(expires_at.get()));
    assert!(renewed.user().issued_at >= device.creds.user().issued_at);
    world.connect(&renewed).await?;

    assert!(device.refused(neighbour.key.public()).await?.contains("another key"));
    // Not ours to refuse: the broker does not let the question through.
    let foreign = format!("tenant.{}.device.{}.renew", neighbour.tenant, neighbour.id);
    assert!(device.nats.request(foreign, "{}".into()).await.is_err(), "asked as a neighbour");

    let records = world.records()?;
    records.set_device_state(device.tenant, device.id, DeviceState::Revoked).await?;
    assert!(device.refused(key).await?.contains("revoked"));
    records.set_device_state(device.tenant, device.id, DeviceState::Active).await?;
    records.set_tenant_state(device.tenant, TenantState::Suspended).await?;
    let why = device.refused(key).await?;
    assert!(why.contains("wegweiser tenant resume"), "{why}");
    records.set_tenant_state(device.tenant, TenantState::Active).await?;
    assert!(matches!(device.renew(key).await?, RenewAnswer::Renewed { .. }));
    Ok(())
}

#[tokio::test]
async fn credentials_that_are_over_let_nobody_in() -> Result<()> {
    let world = World::start().await?;
    let settings = [("WEGWEISER_DEVICE_LIFETIME_SECONDS", "6")];
    let desk = Desk::open(&world, &settings).await?;
    let device = Enrolled::new(&world, &desk, 0).await?;
    eventually("the end of the credentials", async || {
        Ok(world.connect(&device.creds).await.is_err().then_some(()))
    })
    .await?;
    Ok(())
}
