//! A tenant is removed while its devices send: nothing of it is left, and nothing comes back.

use std::process::{Command, Stdio};

use broker::Pull;
use serde_json::{Value, json};

use super::rows;
use super::world::{World, until};
use crate::support::{DEVICE, OTHER_TENANT, TENANT, stderr, stdout};

/// Everything that the tenant's devices do while it is removed.
const FLEET: [&str; 11] = [
    "fleet",
    "--devices",
    "12",
    "--metrics-interval",
    "100ms",
    "--for",
    "300s",
    "--malformed",
    "10",
    "--connect-over",
    "1s",
];

/// A world with two tenants whose devices send, and receivers that store it.
async fn busy() -> (World, [super::world::Running; 2]) {
    let world = World::open().await;
    for (tenant, name) in [(TENANT, "Acme"), (OTHER_TENANT, "Zeta")] {
        world.done(&["tenant", "add", "--tenant", tenant, "--name", name]);
    }
    world.add_device(TENANT, DEVICE);
    let receiver = world.start("wegweiser-receiver", &[], "receiver");
    let fleet = world.start("wegweiser", &FLEET, "operator");
    for tenant in [TENANT, OTHER_TENANT] {
        until("rows and dead letters of each tenant", || {
            let devices = world.json(&["devices", "--tenant", tenant]);
            let letters = world.json(&["dlq", "list", "--tenant", tenant]);
            rows(&devices).count() >= 6 && rows(&letters).count() > 0
        })
        .await;
    }
    (world, [receiver, fleet])
}

fn count(proof: &Value, place: &str, when: &str) -> u64 {
    let found = rows(&proof["places"]).find(|one| one["place"] == json!(place));
    found.and_then(|found| found[when].as_u64()).unwrap_or_default()
}

#[tokio::test]
async fn nothing_is_left_of_a_removed_tenant_and_the_other_keeps_everything() {
    let (mut world, _running) = busy().await;
    world.sign_in_as_operator();
    let creds = world.place.path(&format!("{DEVICE}.creds"));
    let agent = world.connect(&creds).await.unwrap();
    let refused = world.refused(&["tenant", "remove", TENANT]);
    assert!(refused.contains("--yes"), "{refused}");
    assert!(agent.is_connected(), "nothing is done without a yes");

    let proof = world.json(&["tenant", "remove", TENANT, "--yes"]);
    assert_eq!(proof["nothing_left"], json!(true), "{proof}");
    for place in [
        "file",
        "account at the broker",
        "account keys",
        "stream METRICS",
        "stream HEARTBEATS",
        "stream DEAD_LETTERS",
        "rings",
        "table device_connectivity",
        "table device_credentials",
        "table devices",
        "table tenants",
    ] {
        assert!(count(&proof, place, "before") > 0, "{place} held nothing: {proof}");
        assert_eq!(count(&proof, place, "after"), 0, "{place}");
    }
    until("the connection ends", || !agent.is_connected()).await;
    world.connect(&creds).await.unwrap_err();

    let others = || {
        rows(&world.json(&["dlq", "list", "--limit", "100000", "--tenant", OTHER_TENANT])).count()
    };
    let before = others();
    // Long enough for receivers to move what they note in Redis, every five seconds.
    until("the other tenant goes on", || others() > before + 250).await;
    let again = world.json(&["tenant", "remove", TENANT]);
    assert_eq!(again["nothing_left"], json!(true), "nothing comes back: {again}");
    assert!(rows(&again["places"]).all(|one| one["before"] == json!(0)), "{again}");
    assert!(world.done(&["accounts", "plan"]).contains("nothing to do"));

    let trail = world.json(&["audit", "--tenant", TENANT, "--action", "tenant remove"]);
    assert_eq!(trail[2]["detail"]["outcome"], json!("done"), "{trail}");
    assert_eq!(trail[2]["detail"]["left"], json!({}), "{trail}");
    assert!(trail[3]["detail"]["before"]["stream METRICS"].as_u64().unwrap() > 0, "{trail}");
}

#[tokio::test]
async fn a_tenant_is_removed_by_whoever_types_its_name_and_nobody_else() {
    let world = World::open().await;
    world.done(&["tenant", "add", "--tenant", TENANT, "--name", "Acme"]);
    world.add_device(TENANT, DEVICE);
    let file = world.place.path("tenants").join(format!("{TENANT}.json"));
    // Another's name, not quite its name, nothing, and the end of the input.
    for typed in ["Zeta\n", "acme\n", "\n", ""] {
        let (code, said) = world.on_a_terminal(&["tenant", "remove", TENANT], typed);
        assert!(said.contains("Type the tenant's name (Acme):"), "{said}");
        assert!(said.contains("nothing is removed"), "{typed:?}: {said}");
        assert_eq!((code, file.exists()), (Some(1), true), "{typed:?}: {said}");
    }
    let (code, said) = world.on_a_terminal(&["tenant", "remove", TENANT], "Acme\n");
    assert!(said.contains("nothing is left of tenant"), "{said}");
    assert_eq!((code, file.exists()), (Some(0), false), "{said}");
}

#[tokio::test]
async fn a_removal_that_is_killed_on_its_way_is_run_again_and_does_the_rest() {
    let (world, _running) = busy().await;
    let file = world.place.path("tenants").join(format!("{TENANT}.json"));
    let mut cut: Command = world.place.program("wegweiser");
    cut.args(["tenant", "remove", TENANT, "--yes"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut cut = cut.spawn().unwrap();
    until("the removal is under way", || !file.exists()).await;
    cut.kill().unwrap();
    cut.wait().unwrap();

    let added = ["tenant", "add", "--tenant", TENANT, "--name", "Acme"];
    let refused = world.refused(&added);
    assert!(refused.contains("wegweiser tenant remove"), "{refused}");
    let said = world.place.wegweiser(&["tenant", "remove", TENANT, "--yes"]);
    assert_eq!(said.status.code(), Some(0), "{}{}", stdout(&said), stderr(&said));
    assert!(stdout(&said).contains("nothing is left"), "{}", stdout(&said));
    world.done(&added);
}

#[tokio::test]
async fn without_receivers_what_nobody_took_is_purged_and_what_somebody_holds_is_waited_for() {
    let world = World::open().await;
    world.done(&["tenant", "add", "--tenant", TENANT, "--name", "Acme"]);
    world.done(&["fleet", "--devices", "3", "--for", "4s", "--connect-over", "1s"]);
    let broker = world.connect(&world.place.path("creds/operator.creds")).await.unwrap();
    let mut pull = Pull::open(&broker, "HEARTBEATS", "connectivity", 10).await.unwrap();
    let held = pull.next().await.unwrap().unwrap();
    let remove = ["tenant", "remove", TENANT, "--yes", "--drain-seconds", "2"];
    let refused = world.refused(&remove);
    assert!(refused.contains("connectivity of HEARTBEATS"), "{refused}");
    drop((held, pull, broker));
    let _receiver = world.start("wegweiser-receiver", &[], "receiver");
    let remove = [&remove[..4], &["--drain-seconds", "60"]].concat();
    assert!(world.done(&remove).contains("nothing is left"));
}
