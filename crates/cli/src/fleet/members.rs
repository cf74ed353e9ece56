//! Who is in a fleet: the same devices at every start with the same seed and tenants.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use identity::{AccountName, DeviceRole, KeyDir};
use protocol::{DeviceId, TenantId};
use serde::Deserialize;
use uuid::Builder;

use super::curves::mixed;

/// One simulated device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) tenant: TenantId,
    pub(super) device: DeviceId,
    /// What its values are drawn from.
    pub(super) seed: u64,
}

/// The part of a tenant's file that counts here.
#[derive(Deserialize)]
struct TenantFile {
    tenant: TenantId,
}

/// The given tenants, or else those that have a file in `directory`.
///
/// # Errors
/// There are none, or a file is no tenant's.
pub(super) fn tenants(given: &[TenantId], directory: &Path) -> anyhow::Result<Vec<TenantId>> {
    let mut tenants = given.to_vec();
    if tenants.is_empty() {
        let entries = std::fs::read_dir(directory)
            .with_context(|| format!("reading the tenants in {}", directory.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let reading = || format!("reading the tenant in {}", path.display());
            let text = std::fs::read(&path).with_context(reading)?;
            let file: TenantFile = serde_json::from_slice(&text).with_context(reading)?;
            tenants.push(file.tenant);
        }
    }
    tenants.sort_unstable();
    tenants.dedup();
    ensure!(!tenants.is_empty(), "no tenants in {}; give --tenant", directory.display());
    Ok(tenants)
}

/// `count` devices, by turns of the tenants.
pub(super) fn members(seed: u64, tenants: &[TenantId], count: u32) -> Vec<Member> {
    let mut members = Vec::with_capacity(count as usize);
    let mut round = 0_u64;
    loop {
        for tenant in tenants {
            if members.len() == count as usize {
                return members;
            }
            members.push(member(seed, *tenant, round));
        }
        round += 1;
    }
}

/// The tenant goes into the id, so that no two tenants ever have the same device.
fn member(seed: u64, tenant: TenantId, index: u64) -> Member {
    let (high, low) = tenant.as_uuid().as_u64_pair();
    let start = mixed(mixed(seed, high), low);
    let own = mixed(start, index);
    let (front, back) = (mixed(own, 1).to_be_bytes(), mixed(own, 2).to_be_bytes());
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&front);
    bytes[8..].copy_from_slice(&back);
    let device = DeviceId::new(Builder::from_random_bytes(bytes).into_uuid());
    Member { tenant, device, seed: own }
}

/// Tells of missing keys before anything is started.
///
/// # Errors
/// The first tenant that devices cannot be issued for.
pub(super) fn check_keys(keys: &KeyDir, members: &[Member]) -> anyhow::Result<()> {
    let mut checked: Vec<TenantId> = Vec::new();
    for Member { tenant, .. } in members {
        if checked.contains(tenant) {
            // By turns: from here on they come again.
            break;
        }
        if let Err(error) = keys.role(AccountName::Tenant(*tenant), DeviceRole::Current.name()) {
            bail!("tenant {tenant}: {error}; run: wegweiser accounts apply");
        }
        checked.push(*tenant);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn two_tenants() -> Vec<TenantId> {
        ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"]
            .map(|text| text.parse().unwrap())
            .to_vec()
    }

    #[test]
    fn a_second_start_has_the_same_devices_and_another_seed_others() {
        let tenants = two_tenants();
        let first = members(1, &tenants, 101);
        assert_eq!(first, members(1, &tenants, 101));
        let devices: BTreeSet<DeviceId> = first.iter().map(|member| member.device).collect();
        assert_eq!(devices.len(), 101);
        let of_one = first.iter().filter(|member| member.tenant == tenants[0]).count();
        assert_eq!(of_one, 51);
        assert!(members(2, &tenants, 101).iter().all(|other| !devices.contains(&other.device)));
    }

    #[test]
    fn a_tenant_keeps_its_devices_when_another_joins_or_the_fleet_grows() {
        let tenants = two_tenants();
        let alone = members(1, &tenants[..1], 10);
        let both = members(1, &tenants, 40);
        assert!(alone.iter().all(|member| both.contains(member)));
    }

    #[test]
    fn tenants_are_read_from_their_files() {
        let directory = tempfile::tempdir().unwrap();
        let none = tenants(&[], directory.path()).unwrap_err().to_string();
        assert!(none.contains("give --tenant"), "{none}");
        for (name, tenant) in [("acme", &two_tenants()[0]), ("bolt", &two_tenants()[1])] {
            let text = format!(r#"{{"tenant": "{tenant}", "name": "{name}", "limits": {{}}}}"#);
            std::fs::write(directory.path().join(format!("{name}.json")), text).unwrap();
        }
        std::fs::write(directory.path().join("README.md"), "not a tenant").unwrap();
        assert_eq!(tenants(&[], directory.path()).unwrap(), two_tenants());
        assert_eq!(tenants(&two_tenants()[1..], directory.path()).unwrap(), two_tenants()[1..]);
    }
}
