//! What a device needs works, and the server says whose it was.

use async_nats::jetstream::{self, stream::LastRawMessageErrorKind};
use futures::StreamExt as _;
use identity::DeviceRole;

use crate::stage::{
    Connection, DEADLINE, DEVICE, OTHER_TENANT, SIBLING, STRANGER, Stage, TENANT, other_tenant,
    tenant,
};

/// The subject under which a stream holds a message.
async fn stored_subject(stage: &Stage, stream: &str, sequence: u64) -> String {
    let client = stage.connect(&stage.backend_user("operator")).await.client;
    let stream = jetstream::new(client).get_stream(stream).await.unwrap();
    stream.get_raw_message(sequence).await.unwrap().subject.to_string()
}

/// Waits until a stream holds a message with this subject.
async fn wait_stored(stage: &Stage, stream: &str, subject: &str) {
    let client = stage.connect(&stage.backend_user("operator")).await.client;
    let stream = jetstream::new(client).get_stream(stream).await.unwrap();
    let found = async {
        loop {
            match stream.get_last_raw_message_by_subject(subject).await {
                Ok(_) => return,
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                    tokio::task::yield_now().await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, found).await.unwrap();
}

#[tokio::test]
async fn everything_a_device_reports_is_acknowledged_by_its_stream_under_its_tenant() {
    let stage = Stage::with_streams().await;
    for (tenant, uuid, device) in
        [(tenant(), TENANT, DEVICE), (other_tenant(), OTHER_TENANT, STRANGER)]
    {
        let agent = stage.connect(&stage.device(tenant, device, DeviceRole::Current)).await;
        let base = format!("tenant.{uuid}.device.{device}");
        for (local, stream, stored) in [
            (
                format!("demo.system.{device}.cpu_percent"),
                "METRICS",
                format!("tenant.{uuid}.demo.system.{device}.cpu_percent"),
            ),
            (format!("{base}.status.heartbeat"), "HEARTBEATS", format!("{base}.status.heartbeat")),
            (format!("{base}.monitoring"), "MONITORING", format!("{base}.monitoring")),
            (format!("{base}.response"), "RESPONSES", format!("{base}.response")),
        ] {
            let (acked_by, sequence) = agent.publish_acked(&local, "{}").await;
            assert_eq!(acked_by, stream);
            assert_eq!(stored_subject(&stage, stream, sequence).await, stored);
            let (_, repeated) = agent.publish_acked(&local, "{}").await;
            assert_eq!(repeated, sequence, "the message id crosses the accounts");
        }
    }
}

#[tokio::test]
async fn a_plain_publish_of_the_first_generation_lands_also_on_the_short_heartbeat_subjects() {
    let stage = Stage::with_streams().await;
    let old = stage.device(tenant(), DEVICE, DeviceRole::FirstGeneration);
    let mut agent = stage.connect(&old).await;
    let base = format!("tenant.{TENANT}.device.{DEVICE}");
    let metric = format!("demo.system.{DEVICE}.uptime");
    for (local, stream) in [
        (metric.as_str(), "METRICS"),
        (&format!("{base}.monitoring"), "MONITORING"),
        (&format!("{base}.response"), "RESPONSES"),
    ] {
        assert!(!agent.refuses_publish(local).await, "{local}");
        wait_stored(&stage, stream, &format!("tenant.{TENANT}.>")).await;
    }
    let canonical = format!("{base}.status.heartbeat");
    for local in ["status.heartbeat", "heartbeat", "status"] {
        let (stream, sequence) = agent.publish_acked(&format!("{base}.{local}"), local).await;
        assert_eq!(stream, "HEARTBEATS");
        assert_eq!(stored_subject(&stage, &stream, sequence).await, canonical, "{local}");
        assert!(!agent.refuses_publish(&format!("{base}.{local}")).await, "{local}");
    }
}

#[tokio::test]
async fn a_device_pulls_and_acknowledges_its_own_commands_across_accounts() {
    let stage = Stage::with_streams().await;
    let operator = stage.connect(&stage.backend_user("operator")).await;
    for (uuid, device, payload) in
        [(TENANT, DEVICE, "one"), (OTHER_TENANT, STRANGER, "no"), (TENANT, DEVICE, "two")]
    {
        let subject = format!("tenant.{uuid}.device.{device}.command");
        assert_eq!(operator.publish_acked(&subject, payload).await.0, "COMMANDS");
    }
    let agent = stage.connect(&stage.device(tenant(), DEVICE, DeviceRole::Current)).await;
    let pulled = pull_two(&agent, DEVICE).await;
    for ((payload, reply), expected) in pulled.into_iter().zip(["one", "two"]) {
        assert_eq!(payload, expected);
        let confirmed = agent.client.request(reply, "+ACK".into()).await.unwrap();
        assert!(confirmed.payload.is_empty());
    }

    let jetstream = jetstream::new(operator.client.clone());
    let commands = jetstream.get_stream("COMMANDS").await.unwrap();
    for (device, pending) in [(DEVICE, 0), (STRANGER, 1)] {
        let info = commands.consumer_info(device).await.unwrap();
        let left = info.num_pending + u64::try_from(info.num_ack_pending).unwrap();
        assert_eq!(left, pending, "{device}");
    }
}

/// Two messages in answer to one request: payloads and where to acknowledge.
async fn pull_two(agent: &Connection, device: &str) -> Vec<(String, String)> {
    let inbox = agent.client.new_inbox();
    let mut subscription = agent.client.subscribe(inbox.clone()).await.unwrap();
    let next = format!("$JS.API.CONSUMER.MSG.NEXT.COMMANDS.{device}");
    let request = r#"{"batch":2,"expires":10000000000}"#;
    agent.client.publish_with_reply(next, inbox, request.into()).await.unwrap();
    let mut pulled = Vec::new();
    while pulled.len() < 2 {
        let message = tokio::time::timeout(DEADLINE, subscription.next()).await.unwrap().unwrap();
        let payload = String::from_utf8(message.payload.to_vec()).unwrap();
        assert!(message.status.is_none(), "{message:?}");
        pulled.push((payload, message.reply.unwrap().to_string()));
    }
    pulled
}

#[tokio::test]
async fn a_first_generation_device_hears_its_own_commands_and_no_others() {
    let stage = Stage::with_streams().await;
    let old = stage.device(tenant(), DEVICE, DeviceRole::FirstGeneration);
    let mut agent = stage.connect(&old).await;
    let own = format!("tenant.{TENANT}.device.{DEVICE}.command");
    let mut commands = agent.client.subscribe(own.clone()).await.unwrap();
    for other in [SIBLING, "*"] {
        let subject = format!("tenant.{TENANT}.device.{other}.command");
        assert!(agent.refuses_subscribe(&subject).await, "{subject}");
    }
    let operator = stage.connect(&stage.backend_user("operator")).await;
    operator.publish_acked(&format!("tenant.{TENANT}.device.{SIBLING}.command"), "no").await;
    operator.publish_acked(&own, "ping").await;
    let heard = tokio::time::timeout(DEADLINE, commands.next()).await.unwrap().unwrap();
    assert_eq!((heard.subject.as_str(), &heard.payload[..]), (own.as_str(), &b"ping"[..]));
}

#[tokio::test]
async fn a_tenant_reader_hears_its_own_tenants_devices_only() {
    let stage = Stage::with_streams().await;
    let account = identity::AccountName::Tenant(tenant());
    let reader =
        identity::issue_user(&stage.keys, account, "tenant-reader", "board", None).unwrap();
    let mut reader = stage.connect(&reader).await;
    let heartbeats = format!("tenant.{TENANT}.device.*.status.heartbeat");
    let mut heard = reader.client.subscribe(heartbeats).await.unwrap();
    for subject in [
        format!("tenant.{OTHER_TENANT}.device.*.status.heartbeat"),
        format!("tenant.{TENANT}.device.*.command"),
        "tenant.>".to_owned(),
        "_INBOX.>".to_owned(),
        format!("_INBOX_{DEVICE}.>"),
    ] {
        assert!(reader.refuses_subscribe(&subject).await, "{subject}");
    }
    for subject in [format!("demo.system.{DEVICE}.uptime"), "$JS.API.INFO".to_owned()] {
        assert!(reader.refuses_publish(&subject).await, "{subject}");
    }
    for (tenant, uuid, device) in
        [(other_tenant(), OTHER_TENANT, STRANGER), (tenant(), TENANT, DEVICE)]
    {
        let agent = stage.connect(&stage.device(tenant, device, DeviceRole::Current)).await;
        let subject = format!("tenant.{uuid}.device.{device}.status.heartbeat");
        agent.publish_acked(&subject, device).await;
    }
    let first = tokio::time::timeout(DEADLINE, heard.next()).await.unwrap().unwrap();
    assert_eq!(&first.payload[..], DEVICE.as_bytes());
}
