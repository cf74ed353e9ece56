//! What happens is told as it happens, to those who may know, and a cut loses nothing.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::{SinkExt as _, StreamExt as _};
use protocol::{DeviceId, TenantId, UnixMillis};
use serde_json::{Value, json};
use storage::{ApiRole, ApiToken, NewApiToken, Scope};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use uuid::Uuid;

use crate::api_isolation::web;
use crate::world::{Device, Process, World, address, eventually, now_ms};

/// Longest wait for a frame; the sign-in is asked for every 15 s.
const FRAME_TIMEOUT: Duration = Duration::from_secs(25);
/// Points that no client's buffers hold, with those of the machine.
const FLOOD_POINTS: usize = 400_000;

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn connect(web: &Process, token: &ApiToken) -> Result<Self> {
        let url = format!("ws://{}/v1/live", address(web, ": listening").await?);
        let mut request = url.into_client_request()?;
        let bearer = format!("Bearer {}", token.expose());
        request.headers_mut().insert("authorization", bearer.parse()?);
        let mut client = Self(connect_async(request).await?.0);
        let hello = client.next("hello").await?;
        ensure!(hello["role"] == "viewer", "{hello}");
        Ok(client)
    }

    async fn say(&mut self, frame: Value) -> Result<()> {
        Ok(self.0.send(Message::text(frame.to_string())).await?)
    }

    /// Subscribes, and waits for the word that it is.
    async fn subscribe(&mut self, frame: Value) -> Result<()> {
        self.say(frame).await?;
        self.next("subscribed").await.map(drop)
    }

    /// The next frame of that type; others are passed over.
    async fn next(&mut self, wanted: &str) -> Result<Value> {
        loop {
            let message = timeout(FRAME_TIMEOUT, self.0.next()).await;
            let message =
                message.with_context(|| format!("no {wanted}"))?.context("it ended")??;
            match message {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text)?;
                    if frame["type"] == wanted {
                        return Ok(frame);
                    }
                }
                Message::Close(close) => bail!("closed instead of {wanted}: {close:?}"),
                _ => {}
            }
        }
    }

    /// Times of the next points of that metric.
    async fn times(&mut self, metric: &str) -> Result<Vec<i64>> {
        loop {
            let frame = self.next("points").await?;
            if let Some(points) = frame["points"][metric].as_array() {
                return Ok(points.iter().filter_map(|point| point[0].as_i64()).collect());
            }
        }
    }

    /// Reads on until the service closes; with which code.
    async fn closed(&mut self) -> Result<u16> {
        loop {
            match timeout(FRAME_TIMEOUT, self.0.next()).await.context("it stays open")? {
                Some(Ok(Message::Close(Some(frame)))) => return Ok(frame.code.into()),
                Some(Ok(_)) => {}
                other => bail!("it ended without a code: {other:?}"),
            }
        }
    }
}

async fn token(world: &World, tenant: TenantId) -> Result<(Uuid, ApiToken)> {
    let token = ApiToken::generate();
    let wanted = NewApiToken {
        name: "a page",
        scope: Scope::Tenant(tenant),
        role: ApiRole::Viewer,
        expires_at: UnixMillis::new(now_ms() + 3_600_000),
        who: "story",
    };
    Ok((world.records()?.create_api_token(&token, wanted).await?, token))
}

/// A device of tenant number `tenant` that has sent a heartbeat.
async fn device(world: &World, tenant: usize) -> Result<Device> {
    let device = world.device(tenant).await?;
    beat(&device).await?;
    let records = world.records()?;
    eventually("a heartbeat", async || Ok(records.knows_device(device.id).await?.then_some(())))
        .await?;
    Ok(device)
}

async fn beat(device: &Device) -> Result<()> {
    let (id, tenant, now) = (device.id, device.tenant, now_ms());
    let heartbeat =
        format!(r#"{{"device_uuid":"{id}","tenant_uuid":"{tenant}","timestamp_ms":{now}}}"#);
    device.publish(&device.subject("status.heartbeat"), heartbeat).await
}

/// The web service once it has reached the broker.
async fn ready(world: &World) -> Result<Process> {
    let web = web(world).await?;
    web.logs("part=broker").await?;
    for tenant in &world.tenants {
        world.records()?.ensure_tenant(*tenant, "a customer").await?;
    }
    Ok(web)
}

fn metrics(device: DeviceId) -> Value {
    json!({"subscribe": "metrics", "device": device})
}

#[tokio::test]
async fn points_come_as_they_are_sent_and_a_cut_loses_none() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let web = ready(&world).await?;
    let (_, token) = token(&world, world.tenants[0]).await?;
    let device = device(&world, 0).await?;
    let start = now_ms() - 5_000;
    device.point("cpu_percent", start, 1.0).await?;
    eventually("a point", async || {
        Ok((!world.ring(device.id, "cpu_percent").await?.is_empty()).then_some(()))
    })
    .await?;

    let mut client = Client::connect(&web, &token).await?;
    client.subscribe(metrics(device.id)).await?;
    assert_eq!(client.times("cpu_percent").await?, [start], "what the ring holds");
    device.point("cpu_percent", start + 1, 2.0).await?;
    assert_eq!(client.times("cpu_percent").await?, [start + 1], "what is sent now");
    device.point("of_its_own", start + 1, 2.0).await?;
    assert_eq!(client.times("of_its_own").await?, [start + 1]);
    drop(client);

    for later in 2..5 {
        device.point("cpu_percent", start + later, 3.0).await?;
    }
    eventually("all points", async || {
        Ok((world.ring(device.id, "cpu_percent").await?.len() == 5).then_some(()))
    })
    .await?;
    let mut client = Client::connect(&web, &token).await?;
    let since = start + 1;
    client.subscribe(json!({"subscribe": "metrics", "device": device.id, "since": since})).await?;
    assert_eq!(client.times("cpu_percent").await?, [start + 2, start + 3, start + 4]);
    Ok(())
}

#[tokio::test]
async fn presence_and_letters_of_the_own_tenant_come_and_nothing_of_another() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let web = ready(&world).await?;
    let (_, token) = token(&world, world.tenants[0]).await?;
    let theirs = device(&world, 1).await?;
    let mut client = Client::connect(&web, &token).await?;
    client.say(metrics(theirs.id)).await?;
    let refused = client.next("refused").await?;
    client.say(metrics(DeviceId::new(Uuid::nil()))).await?;
    let unknown = client.next("refused").await?;
    let told = |frame: &Value| frame["problem"]["title"].clone();
    assert_eq!((told(&refused), &refused["problem"]["status"]), (told(&unknown), &json!(404)));
    let other = world.tenants[1];
    client.say(json!({"subscribe": "presence", "tenant": other})).await?;
    assert_eq!(client.next("refused").await?["problem"]["status"], 404);

    client.subscribe(json!({"subscribe": "presence"})).await?;
    let (foreign, own) = (world.device(1).await?, world.device(0).await?);
    beat(&foreign).await?;
    beat(&own).await?;
    let changes = client.next("presence").await?["changes"].clone();
    let first = &changes[0];
    assert_eq!((&first["device"], &first["online"]), (&json!(own.id), &json!(true)), "{changes}");

    client.subscribe(json!({"subscribe": "dead_letters"})).await?;
    assert_eq!(client.next("dead_letters").await?["total"], 0);
    foreign.publish(&foreign.subject("monitoring"), "no JSON").await?;
    own.publish(&own.subject("monitoring"), "no JSON").await?;
    let mut counts = client.next("dead_letters").await?;
    while counts["total"] == 0 {
        counts = client.next("dead_letters").await?;
    }
    let group = json!([{"stream": "MONITORING", "reason": "malformed_json", "letters": 1}]);
    assert_eq!((&counts["total"], &counts["groups"]), (&json!(1), &group));
    Ok(())
}

#[tokio::test]
async fn responses_to_a_command_come_stored_ones_first() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let web = ready(&world).await?;
    let (_, token) = token(&world, world.tenants[0]).await?;
    let device = device(&world, 0).await?;
    let answer = |command: &str, number: i64| {
        json!({"command_id": command, "device_uuid": device.id, "timestamp": now_ms(),
               "result": {"command_id": command, "status": "success", "number": number}})
        .to_string()
    };
    device.publish(&device.subject("response"), answer("c-1", 0)).await?;
    eventually("a response", async || {
        Ok((world.count("select count(*) from device_realtime_data").await? == 1).then_some(()))
    })
    .await?;
    let mut client = Client::connect(&web, &token).await?;
    client
        .subscribe(json!({"subscribe": "command", "device": device.id, "command": "c-1"}))
        .await?;
    let seed = client.next("command").await?;
    assert_eq!((&seed["seed"], &seed["command"]), (&json!(true), &json!("c-1")));
    device.publish(&device.subject("response"), answer("c-2", 1)).await?;
    device.publish(&device.subject("response"), answer("c-1", 2)).await?;
    let live = client.next("command").await?;
    assert_eq!((&live["seed"], &live["command"]), (&json!(false), &json!("c-1")));
    assert_eq!(live["event"]["result"]["number"], 2);
    Ok(())
}

#[tokio::test]
async fn who_may_listen_no_longer_reads_too_slowly_or_says_nonsense_is_closed_with_the_reason()
-> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let web = ready(&world).await?;
    let (id, token) = token(&world, world.tenants[0]).await?;
    let device = device(&world, 0).await?;

    let mut talker = Client::connect(&web, &token).await?;
    talker.say(json!({"subscribe": "everything"})).await?;
    assert_eq!(talker.closed().await?, 4003);

    let mut sleeper = Client::connect(&web, &token).await?;
    sleeper.subscribe(metrics(device.id)).await?;
    for number in 0..FLOOD_POINTS {
        device.point("cpu_percent", now_ms(), number as f64).await?;
    }
    device.nats.flush().await?;
    assert_eq!(sleeper.closed().await?, 4008);

    let mut client = Client::connect(&web, &token).await?;
    client.subscribe(metrics(device.id)).await?;
    world.records()?.revoke_api_token(id, "story").await?;
    assert_eq!(client.closed().await?, 4001);
    let refused = Client::connect(&web, &token).await.err().context("let in")?;
    let Some(Error::Http(answer)) = refused.downcast_ref::<Error>() else { bail!("{refused:#}") };
    assert_eq!(answer.status().as_u16(), 401);
    Ok(())
}
