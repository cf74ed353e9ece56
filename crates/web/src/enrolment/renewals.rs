//! Answers devices that renew their credentials, over the broker.
//!
//! Promises: any number of replicas share the questions; questions under way are bounded, further
//! ones wait at the broker's subscription and are asked again by their device. Refuses: to renew
//! for another key than the registry has, for who knows the old credentials' name only.

use broker::{Broker, BrokerSettings, RenewalAsked};
use futures::StreamExt as _;
use identity::{KeyKind, PublicKey};
use protocol::{RenewAnswer, RenewRequest};
use runtime::shutdown::CancellationToken;
use storage::EnrolmentError;

use super::issue::{Issuer, NotIssued};

/// Questions that are answered at one time.
const UNDER_WAY_MAX: usize = 16;

/// Answers until `stop`.
pub(crate) async fn answer(settings: BrokerSettings, issuer: Issuer, stop: CancellationToken) {
    let answering = answer_for_ever(&settings, &issuer);
    match stop.run_until_cancelled(answering).await {
        None => {}
        Some(Ok(())) => tracing::error!("the connection for renewals was closed"),
        Some(Err(error)) => {
            let error = format!("{error:#}");
            tracing::error!(error, "devices cannot renew their credentials here");
        }
    }
}

async fn answer_for_ever(settings: &BrokerSettings, issuer: &Issuer) -> anyhow::Result<()> {
    let broker = Broker::connect_patiently(settings).await?;
    let mut questions = broker.renewals().await?;
    tracing::info!("answering devices that renew their credentials");
    let questions = futures::stream::poll_fn(|context| {
        let mut next = std::pin::pin!(questions.next());
        next.as_mut().poll(context)
    });
    questions.for_each_concurrent(UNDER_WAY_MAX, |asked| answer_one(issuer, asked)).await;
    Ok(())
}

async fn answer_one(issuer: &Issuer, asked: RenewalAsked) {
    let (tenant, device) = (asked.tenant, asked.device);
    let answer = renew(issuer, &asked).await;
    match &answer {
        RenewAnswer::Renewed { .. } => tracing::info!(%tenant, %device, "credentials renewed"),
        RenewAnswer::Refused(why) | RenewAnswer::NotNow(why) => {
            tracing::warn!(%tenant, %device, why, "credentials not renewed");
        }
    }
    // Cannot fail: texts and numbers only.
    let answer = serde_json::to_vec(&answer).unwrap_or_default();
    if let Err(error) = asked.answer(answer).await {
        tracing::warn!(%tenant, %device, %error, "a renewal's answer was not sent");
    }
}

async fn renew(issuer: &Issuer, asked: &RenewalAsked) -> RenewAnswer {
    let request = serde_json::from_slice::<RenewRequest>(&asked.payload);
    let public = request.map_err(|error| error.to_string()).and_then(|request| {
        let key = request.public_key.parse::<PublicKey>();
        key.and_then(|key| key.expect_kind(KeyKind::User)).map_err(|error| error.to_string())
    });
    let public = match public {
        Ok(public) => public,
        Err(why) => return RenewAnswer::Refused(why),
    };
    match issuer.renew(asked.tenant, asked.device, &public).await {
        Ok(issued) => RenewAnswer::Renewed { jwt: issued.jwt, expires_at: issued.expires_at },
        Err(NotIssued::Refused(EnrolmentError::Unavailable(away))) => {
            RenewAnswer::NotNow(away.to_string())
        }
        Err(NotIssued::Refused(refused)) => RenewAnswer::Refused(refused.to_string()),
        Err(NotIssued::Keys(source)) => {
            tracing::error!(error = format!("{source:#}"), "a device cannot be issued credentials");
            RenewAnswer::NotNow("the service cannot issue credentials now".to_owned())
        }
    }
}
