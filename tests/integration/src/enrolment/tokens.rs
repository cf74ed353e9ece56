//! What a token is worth, and to whom.

use anyhow::{Context as _, Result, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Desk, credentials, new_key, token};
use crate::world::{World, eventually};

const DEVICES: &str = "select count(*) from devices";

#[tokio::test]
async fn of_many_that_race_for_one_use_one_wins_and_its_retry_takes_no_second() -> Result<()> {
    let world = World::start().await?;
    let desk = Desk::open(&world, &[]).await?;
    let (_, token) = token(&world, world.tenants[0], &[]).await?;
    let mut keys = Vec::new();
    for _ in 0..12 {
        keys.push(new_key()?);
    }
    let tries = keys.iter().map(|key| desk.enroll(&token, key));
    let answers: Vec<(StatusCode, Value)> = futures::future::try_join_all(tries).await?;
    let won: Vec<usize> =
        (0..keys.len()).filter(|place| answers[*place].0 == StatusCode::OK).collect();
    ensure!(won.len() == 1, "{answers:?}");
    let (winner, answer) = (&keys[won[0]], &answers[won[0]].1);
    for (status, _) in answers.iter().filter(|(status, _)| *status != StatusCode::OK) {
        assert_eq!(*status, StatusCode::FORBIDDEN);
    }

    let (status, again) = desk.enroll(&token, winner).await?;
    assert_eq!(status, StatusCode::OK, "{again}");
    assert_eq!(again["device"], answer["device"], "a retry is the same device");
    let (status, _) = desk.enroll(&token, &new_key()?).await?;
    assert_eq!(status, StatusCode::FORBIDDEN, "a replay with another key");
    assert_eq!(world.count(DEVICES).await?, 1);
    let noted = "select count(*) from audit_log where action in
                 ('enroll-token create', 'device enroll') and tenant_uuid is not null";
    assert_eq!(world.count(noted).await?, 3, "token, device, retry");

    let device = world.connect(&credentials(answer, winner)?).await?;
    let id = answer["device"].as_str().context("an id")?;
    let subject = format!("tenant.{}.device.{id}.status.heartbeat", world.tenants[0]);
    let taken = device.request(subject, "{}".into()).await?;
    assert!(taken.payload.starts_with(b"{\"stream\":\"HEARTBEATS\""), "{:?}", taken.payload);
    Ok(())
}

#[tokio::test]
async fn no_token_tells_an_outsider_what_is_wrong_with_it() -> Result<()> {
    let world = World::start().await?;
    let desk = Desk::open(&world, &[]).await?;
    let (id, revoked) = token(&world, world.tenants[0], &["--uses", "5"]).await?;
    ensure!(desk.enroll(&revoked, &new_key()?).await?.0 == StatusCode::OK);
    let (code, said) = world.wegweiser(&["enroll-token", "revoke", &id]).await?;
    ensure!(code == 0, "{said}");
    let (_, used_up) = token(&world, world.tenants[0], &[]).await?;
    ensure!(desk.enroll(&used_up, &new_key()?).await?.0 == StatusCode::OK);
    let (_, over) = token(&world, world.tenants[0], &["--expires", "1s"]).await?;
    eventually("the token's end", async || {
        let good = "select count(*) from enroll_tokens
                    where expires_at > clock_timestamp() and uses_left = 1";
        Ok((world.count(good).await? == 0).then_some(()))
    })
    .await?;
    let unknown = format!("wegweiser_enroll_{}", "A".repeat(43));
    let mut said = Vec::new();
    for token in [revoked.as_str(), &used_up, &over, &unknown, "no token", ""] {
        let (status, problem) = desk.enroll(token, &new_key()?).await?;
        assert_eq!(status, StatusCode::FORBIDDEN, "{problem}");
        said.push(problem);
    }
    assert!(said.iter().all(|problem| *problem == said[0]), "{said:?}");
    let detail = said[0]["detail"].as_str().context("a text")?;
    assert!(detail.contains("ask your operator for a new one"), "{detail}");
    for secret in [&revoked, &used_up, &over] {
        assert!(!desk.web.log().contains(secret.as_str()), "a token is in the log");
    }
    let (_, listed) = world.wegweiser(&["enroll-token", "list"]).await?;
    for state in ["revoked", "used up", "over"] {
        assert!(listed.contains(state), "{listed}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_enrolment_is_refused_with_field_and_remedy() -> Result<()> {
    let world = World::start().await?;
    let desk = Desk::open(&world, &[]).await?;
    let (_, token) = token(&world, world.tenants[0], &[]).await?;
    let account = identity::SecretKey::generate(identity::KeyKind::Account)?;
    let seed = new_key()?;
    let seed = secrecy::ExposeSecret::expose_secret(seed.seed());
    for (key, shown) in [(account.public().as_str(), account.public().as_str()), (seed, "a secret")]
    {
        let (status, problem) = desk.post(&json!({ "token": token, "public_key": key })).await?;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!((&problem["field"], &problem["value"]), (&json!("public_key"), &json!(shown)));
        assert!(problem["remedy"].as_str().context("a remedy")?.contains("start with U"));
    }
    let (status, problem) = desk.post(&json!({ "token": token })).await?;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(problem["detail"].as_str().context("a text")?.contains("public_key"), "{problem}");
    assert_eq!(world.count(DEVICES).await?, 0);

    let mut waits = None;
    for _ in 0..200 {
        let body = json!({ "token": token, "public_key": "U" });
        let url = format!("{}/v1/enroll", desk.url);
        let answer = reqwest::Client::new().post(url).json(&body).send().await?;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            waits = answer.headers().get("retry-after").cloned();
            break;
        }
    }
    assert!(waits.is_some(), "200 tries at once were not too many");
    Ok(())
}
