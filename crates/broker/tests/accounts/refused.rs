//! What a device or service must not do is refused by the server, and would not be if the files
//! said otherwise.

use broker::streams::Destructive;
use identity::{AccountName, DeviceRole, issue_user};
use serde_json::{Value, json};

use crate::stage::{DEVICE, OTHER_TENANT, SIBLING, STRANGER, Stage, TENANT, tenant};

/// What no device may publish, `DEVICE` of `TENANT` least of all.
fn forbidden_publishes() -> Vec<String> {
    let mut subjects = vec![
        format!("tenant.{TENANT}.device.{DEVICE}.command"),
        format!("tenant.{TENANT}.demo.system.{DEVICE}.cpu_percent"),
        format!("demo.system.{DEVICE}"),
        format!("demo.system.{DEVICE}.a.b"),
        format!("_INBOX_{SIBLING}.x"),
        "_INBOX.x".to_owned(),
        "dead.METRICS.decode.x.y".to_owned(),
        "anything".to_owned(),
        "$JS.API.INFO".to_owned(),
        "$JS.API.STREAM.NAMES".to_owned(),
        "$JS.API.STREAM.LIST".to_owned(),
        "$JS.API.STREAM.INFO.METRICS".to_owned(),
        "$JS.API.STREAM.CREATE.MINE".to_owned(),
        "$JS.API.STREAM.UPDATE.METRICS".to_owned(),
        "$JS.API.STREAM.PURGE.METRICS".to_owned(),
        "$JS.API.STREAM.DELETE.METRICS".to_owned(),
        "$JS.API.STREAM.MSG.GET.COMMANDS".to_owned(),
        "$JS.API.STREAM.MSG.DELETE.COMMANDS".to_owned(),
        "$JS.API.DIRECT.GET.COMMANDS".to_owned(),
        "$JS.API.STREAM.SNAPSHOT.COMMANDS".to_owned(),
        "$JS.API.CONSUMER.NAMES.COMMANDS".to_owned(),
        "$JS.API.CONSUMER.LIST.COMMANDS".to_owned(),
        format!("$JS.API.CONSUMER.INFO.COMMANDS.{DEVICE}"),
        format!("$JS.API.CONSUMER.CREATE.COMMANDS.{DEVICE}"),
        format!("$JS.API.CONSUMER.DURABLE.CREATE.COMMANDS.{DEVICE}"),
        format!("$JS.API.CONSUMER.DELETE.COMMANDS.{DEVICE}"),
        format!("$JS.API.CONSUMER.MSG.NEXT.COMMANDS.{SIBLING}"),
        format!("$JS.API.CONSUMER.MSG.NEXT.COMMANDS.{STRANGER}"),
        "$JS.API.CONSUMER.MSG.NEXT.METRICS.rings".to_owned(),
        format!("$JS.ACK.COMMANDS.{SIBLING}.1.1.1.1.0"),
        "$JS.ACK.METRICS.rings.1.1.1.1.0".to_owned(),
        "$JS.FC.COMMANDS.x".to_owned(),
        "$SYS.REQ.CLAIMS.UPDATE".to_owned(),
        "$SYS.REQ.CLAIMS.DELETE".to_owned(),
        "$SYS.REQ.CLAIMS.LIST".to_owned(),
        "$SYS.REQ.SERVER.PING".to_owned(),
        "$SYS.REQ.ACCOUNT.PING".to_owned(),
    ];
    for (tenant, device) in [(TENANT, SIBLING), (OTHER_TENANT, STRANGER), (OTHER_TENANT, DEVICE)] {
        for kind in ["status.heartbeat", "heartbeat", "status", "monitoring", "response", "renew"] {
            subjects.push(format!("tenant.{tenant}.device.{device}.{kind}"));
        }
        subjects.push(format!("demo.system.{SIBLING}.cpu_percent"));
    }
    subjects
}

/// What no device may subscribe to.
fn forbidden_subscriptions() -> Vec<String> {
    let mut subjects: Vec<String> =
        [">", "*", "tenant.>", "demo.>", "_INBOX.>", "$JS.>", "$SYS.>"].map(str::to_owned).to_vec();
    subjects.extend([
        "_INBOX.*".to_owned(),
        "*.>".to_owned(),
        format!("_INBOX_{SIBLING}.>"),
        format!("_INBOX_{DEVICE}"),
        format!("tenant.{TENANT}.device.{SIBLING}.command"),
        format!("tenant.{TENANT}.device.*.command"),
        format!("tenant.{OTHER_TENANT}.device.{DEVICE}.command"),
        format!("tenant.{TENANT}.device.{DEVICE}.response"),
        format!("demo.system.{DEVICE}.cpu_percent"),
        "$JS.EVENT.ADVISORY.>".to_owned(),
        "_R_.>".to_owned(),
    ]);
    subjects
}

#[tokio::test]
async fn a_device_of_either_generation_touches_nothing_but_its_own() {
    let stage = Stage::with_streams().await;
    for role in [DeviceRole::Current, DeviceRole::FirstGeneration] {
        let mut agent = stage.connect(&stage.device(tenant(), DEVICE, role)).await;
        let mut let_through = Vec::new();
        for subject in forbidden_publishes() {
            if !agent.refuses_publish(&subject).await {
                let_through.push(format!("{role}: publish {subject}"));
            }
        }
        for subject in forbidden_subscriptions() {
            if !agent.refuses_subscribe(&subject).await {
                let_through.push(format!("{role}: subscribe {subject}"));
            }
        }
        assert_eq!(let_through, Vec::<String>::new());
        let own = format!("tenant.{TENANT}.device.{DEVICE}.status.heartbeat");
        assert!(!agent.refuses_publish(&own).await, "the probe must be able to say yes");
    }
}

#[tokio::test]
async fn a_tenant_reader_says_nothing_and_hears_no_other_tenant() {
    let stage = Stage::with_streams().await;
    let account = AccountName::Tenant(tenant());
    let reader = issue_user(&stage.keys, account, "tenant-reader", "board", None).unwrap();
    let mut reader = stage.connect(&reader).await;
    let mut let_through = Vec::new();
    for subject in forbidden_publishes() {
        if !reader.refuses_publish(&subject).await {
            let_through.push(format!("publish {subject}"));
        }
    }
    let heard = [
        format!("tenant.{TENANT}.device.{DEVICE}.response"),
        format!("demo.system.{DEVICE}.cpu_percent"),
    ];
    for subject in forbidden_subscriptions() {
        if !heard.contains(&subject) && !reader.refuses_subscribe(&subject).await {
            let_through.push(format!("subscribe {subject}"));
        }
    }
    assert_eq!(let_through, Vec::<String>::new());
    for subject in heard {
        assert!(!reader.refuses_subscribe(&subject).await, "{subject}");
    }
}

#[tokio::test]
async fn each_generation_has_its_own_way_to_commands_only() {
    let stage = Stage::with_streams().await;
    let mut agent = stage.connect(&stage.device(tenant(), DEVICE, DeviceRole::Current)).await;
    let command = format!("tenant.{TENANT}.device.{DEVICE}.command");
    assert!(agent.refuses_subscribe(&command).await);
    for short in ["heartbeat", "status"] {
        let subject = format!("tenant.{TENANT}.device.{DEVICE}.{short}");
        assert!(agent.refuses_publish(&subject).await, "{subject}");
    }
    let old = stage.device(tenant(), DEVICE, DeviceRole::FirstGeneration);
    let mut agent = stage.connect(&old).await;
    for subject in [
        format!("$JS.API.CONSUMER.MSG.NEXT.COMMANDS.{DEVICE}"),
        format!("$JS.ACK.COMMANDS.{DEVICE}.1.1.1.1.0"),
    ] {
        assert!(agent.refuses_publish(&subject).await, "{subject}");
    }
}

#[tokio::test]
async fn services_may_do_their_own_work_and_no_more() {
    let stage = Stage::with_streams().await;
    let heartbeat = format!("tenant.{TENANT}.device.{DEVICE}.status.heartbeat");
    let command = format!("tenant.{TENANT}.device.{DEVICE}.command");
    let never = [
        "$JS.API.STREAM.CREATE.MINE",
        "$JS.API.STREAM.UPDATE.METRICS",
        "$JS.API.STREAM.PURGE.METRICS",
        "$JS.API.STREAM.DELETE.METRICS",
        "$JS.API.STREAM.MSG.DELETE.METRICS",
        "$JS.API.CONSUMER.DELETE.METRICS.rings",
        "$JS.API.CONSUMER.MSG.NEXT.COMMANDS.x",
        "$JS.ACK.COMMANDS.x.1.1.1.1.0",
        "$SYS.REQ.CLAIMS.UPDATE",
    ];
    for role in ["receiver", "web"] {
        let mut service = stage.connect(&stage.backend_user(role)).await;
        for subject in never {
            assert!(service.refuses_publish(subject).await, "{role}: {subject}");
        }
        for subject in ["_INBOX.>", "_INBOX_operator.>", "tenant.>", ">", "$JS.EVENT.>"] {
            assert!(service.refuses_subscribe(subject).await, "{role}: {subject}");
        }
        assert!(!service.refuses_publish("$JS.API.STREAM.INFO.METRICS").await, "{role}");
    }
    let mut receiver = stage.connect(&stage.backend_user("receiver")).await;
    assert!(receiver.refuses_publish(&heartbeat).await);
    assert!(receiver.refuses_publish(&command).await);
    let mut web = stage.connect(&stage.backend_user("web")).await;
    let create = "$JS.API.CONSUMER.CREATE";
    for subject in [
        "dead.x",
        "$JS.API.CONSUMER.MSG.NEXT.METRICS.rings",
        "$JS.API.DIRECT.GET.COMMANDS",
        // Of commands it makes devices' consumers, each for one subject, and nothing else.
        &format!("{create}.COMMANDS"),
        &format!("{create}.COMMANDS.x"),
        &format!("{create}.COMMANDS.x.>"),
        &format!("{create}.METRICS.x.{command}"),
        "$JS.API.CONSUMER.DURABLE.CREATE.COMMANDS.x",
        "$JS.API.CONSUMER.DELETE.COMMANDS.x",
        "$JS.API.STREAM.PURGE.COMMANDS",
    ] {
        assert!(web.refuses_publish(subject).await, "{subject}");
    }
    assert!(!web.refuses_publish(&command).await);
    // It listens along with what people watch, and with nothing else.
    for subject in
        ["tenant.*.device.*.status.heartbeat", "tenant.*.device.*.command", "dead.>", "tenant.*.>"]
    {
        assert!(web.refuses_subscribe(subject).await, "{subject}");
    }
    for subject in ["tenant.*.demo.system.*.*", "tenant.*.device.*.response", "dead.*.*.*.*"] {
        assert!(!web.refuses_subscribe(subject).await, "{subject}");
    }
}

#[tokio::test]
async fn the_refusals_go_away_when_the_template_is_loosened() {
    let stage = Stage::with_tenants().await;
    let sibling = format!("tenant.{TENANT}.device.{SIBLING}.status.heartbeat");
    let (info, inboxes) = ("$JS.API.STREAM.INFO.METRICS", "_INBOX.>");
    let mut agent = stage.connect(&stage.device(tenant(), DEVICE, DeviceRole::Current)).await;
    assert!(agent.refuses_publish(&sibling).await);
    assert!(agent.refuses_publish(info).await);
    assert!(agent.refuses_subscribe(inboxes).await);

    stage.edit("tenant.template.json", |file| {
        let template = &mut file["roles"]["device"]["template"];
        let push =
            |list: &mut Value, subject: &str| list.as_array_mut().unwrap().push(json!(subject));
        push(&mut template["pub"]["allow"], "tenant.{tenant}.device.*.status.heartbeat");
        push(&mut template["pub"]["allow"], info);
        push(&mut template["sub"]["allow"], inboxes);
    });
    stage.apply(Destructive::Refuse).await.unwrap();
    let mut agent = stage.connect(&stage.device(tenant(), DEVICE, DeviceRole::Current)).await;
    assert!(!agent.refuses_publish(&sibling).await);
    assert!(!agent.refuses_publish(info).await);
    assert!(!agent.refuses_subscribe(inboxes).await);
}
