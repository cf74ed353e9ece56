//! Many tenants and devices at once, from files: the small cut of what docs/tenants.md measures.

use std::fmt::Write as _;

use uuid::Uuid;

use super::rows;
use super::world::World;
use crate::support::text;

const TENANTS: usize = 30;
const DEVICES_A_TENANT: usize = 10;

#[tokio::test]
async fn many_tenants_and_devices_are_added_from_files_and_again_without_a_change() {
    let world = World::open().await;
    let (mut tenants, mut devices) = (String::new(), String::new());
    for number in 0..TENANTS {
        let tenant = Uuid::now_v7();
        writeln!(tenants, r#"{{"tenant": "{tenant}", "name": "Tenant {number}"}}"#).unwrap();
        for _ in 0..DEVICES_A_TENANT {
            let device = Uuid::now_v7();
            writeln!(devices, r#"{{"tenant": "{tenant}", "device": "{device}"}}"#).unwrap();
        }
    }
    let paths = [world.place.path("tenants.jsonl"), world.place.path("devices.jsonl")];
    std::fs::write(&paths[0], tenants).unwrap();
    std::fs::write(&paths[1], devices).unwrap();
    let creds = world.place.path("fleet");
    let add_devices = ["device", "add", "--from", text(&paths[1]), "--creds-dir", text(&creds)];
    for _ in 0..2 {
        let added = world.done(&["tenant", "add", "--from", text(&paths[0])]);
        assert_eq!(added.lines().count(), TENANTS);
        let added = world.done(&add_devices);
        assert_eq!(added.lines().count(), TENANTS * DEVICES_A_TENANT);
    }
    let listed = world.json(&["device", "list"]);
    assert_eq!(rows(&listed).count(), TENANTS * DEVICES_A_TENANT);
    assert!(rows(&listed).all(|device| device["public_key"].is_string()));
    for device in rows(&listed).step_by(37) {
        let [tenant, device] = ["tenant", "device"].map(|name| device[name].as_str().unwrap());
        let path = creds.join(tenant).join(format!("{device}.creds"));
        world.connect(&path).await.unwrap();
    }
    std::fs::write(&paths[1], "{\"tenant\": 7}\n").unwrap();
    let refused = world.refused(&add_devices);
    assert!(refused.contains("devices.jsonl line 1"), "{refused}");
}
